package ollamarun

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// TestNetworkTime measures through a proxy that delays each request.
func TestNetworkTime(t *testing.T) {
	t.Parallel()
	const delay = 30 * time.Millisecond
	f, s := newFakeServer(t)
	var asked atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(s.URL)
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/show" && r.ContentLength > 1<<13 {
			asked.Add(1)
		}
		time.Sleep(delay)
		proxy.ServeHTTP(w, r)
	}))
	defer far.Close()

	near, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	sample, err := near.Sample(t.Context(), ollamatest.Constant("x"))
	require.NoError(t, err)
	assert.Zero(t, sample.NetworkTime, "the server reports a longer time than the request took")

	total := regexp.MustCompile(`"total_duration":\d+`)
	f.Answers["/api/generate"] = ollamatest.Reply(total.ReplaceAllString(ollamatest.Captured("generate.ndjson"), `"total_duration":1000000`))
	address, err := url.Parse(far.URL)
	require.NoError(t, err)
	a, err := NewAPI(t.Context(), &Server{URL: address}, "tiny", nil, 2)
	require.NoError(t, err)
	prompt := strings.Repeat("once upon a time ", 600)
	for range 3 {
		sample, err = a.Sample(t.Context(), ollamatest.Constant(prompt))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, sample.NetworkTime, 2*delay)
	}
	assert.EqualValues(t, networkTries, asked.Load(), "measured once")
}

// TestAPICached reads the cached tokens that servers report from 0.33.3 on.
func TestAPICached(t *testing.T) {
	f, s := newFakeServer(t)
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	f.Answers["/api/generate"] = figures(`"prompt_eval_count":21`, `"prompt_eval_count":21,"prompt_eval_cached_count":5`)
	sample, err := a.Sample(t.Context(), ollamatest.Constant(`x","prompt_eval_cached_count":9`))
	require.NoError(t, err)
	require.NotNil(t, sample.PromptCached)
	assert.Equal(t, 5, *sample.PromptCached)
	assert.Equal(t, 16, sample.Evaluated())
}
