package ollamarun

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// anotherSweeps is a temporary model of a sweep on another machine, whose state is unknown here.
const anotherSweeps = "ollama-sweep-tmp-000000000000-1-1-1"

func TestClaim(t *testing.T) {
	f := ollamatest.New(t)
	f.Simulate(1)
	s := &Server{URL: f.URL}
	others, first, err := s.Claim(t.Context(), "tiny")
	require.NoError(t, err)
	assert.Empty(t, others)
	assert.True(t, first)
	models, err := s.list(t.Context())
	require.NoError(t, err)
	require.Len(t, models, 2)
	assert.True(t, temporaryName.MatchString(models[1].Name))

	var log strings.Builder
	s.Log = lines.Comments(&log)
	copied := func() int { return strings.Count(strings.Join(f.Requests(), "\n"), "/api/copy") }
	s.renewClaim(t.Context())
	assert.Equal(t, 1, copied(), "a recent claim is not renewed")
	other := &Server{URL: f.URL}
	require.NoError(t, other.client().Copy(t.Context(), copyOf("tiny", anotherSweeps)))
	s.claim.copied = s.claim.copied.Add(-2 * claimRenewAfter)
	for range 2 {
		s.renewClaim(t.Context())
		s.claim.copied = s.claim.copied.Add(-2 * claimRenewAfter)
	}
	assert.Equal(t, 4, copied())
	assert.Equal(t, 1, strings.Count(log.String(), "# warning: other models: another sweep has started on this server ("+anotherSweeps+":latest): "), log.String())

	require.NoError(t, s.Unclaim(t.Context()))
	models, err = s.list(t.Context())
	require.NoError(t, err)
	assert.Len(t, models, 2, "tiny and the other sweep's model")
}

// TestClaimsOfOthers checks which temporary models on a server count as those of a running sweep, and
// which sweep was first.
func TestClaimsOfOthers(t *testing.T) {
	f := ollamatest.New(t)
	f.Simulate(1)
	s := &Server{URL: f.URL}
	require.NoError(t, s.client().Copy(t.Context(), copyOf("tiny", anotherSweeps)))
	others, first, err := s.Claim(t.Context(), "tiny")
	require.NoError(t, err)
	assert.Equal(t, []string{anotherSweeps + ":latest"}, others)
	assert.False(t, first)

	models, err := s.list(t.Context())
	require.NoError(t, err)
	for i := range models {
		if models[i].Name == anotherSweeps+":latest" {
			models[i].ModifiedAt = models[i].ModifiedAt.Add(-2 * claimMaxAge)
		}
	}
	assert.Empty(t, s.claim.others(models), "a claim that was not renewed for a long time does not count")
}

// TestClaimOfTwoAtOnce checks that of two sweeps that start at the same time one continues, whatever
// their names. The one with the earlier claim may not see the other, because it can have listed the
// models before the other created its claim.
func TestClaimOfTwoAtOnce(t *testing.T) {
	for _, other := range []string{"ollama-sweep-tmp-000000000000-1-1-1", "ollama-sweep-tmp-ffffffffffff-999999999-1-1"} {
		for _, oursFirst := range []bool{true, false} {
			f := ollamatest.New(t)
			f.Simulate(1)
			s := &Server{URL: f.URL}
			copying := f.Answers["/api/copy"]
			f.Inject(func(r ollamatest.Request) http.HandlerFunc {
				if r.Path != "/api/copy" || strings.Contains(r.Body, other) {
					return nil
				}
				return func(w http.ResponseWriter, r *http.Request) {
					if oursFirst {
						copying(w, r)
					}
					assert.NoError(t, s.client().Copy(t.Context(), copyOf("tiny", other)))
					if !oursFirst {
						copying(w, r)
					}
				}
			})
			others, first, err := s.Claim(t.Context(), "tiny")
			require.NoError(t, err)
			assert.Equal(t, []string{other + ":latest"}, others)
			assert.Equal(t, oursFirst, first, other)
		}
	}
}

// TestClaimOfOneTime checks that the name decides between two claims with the same time.
func TestClaimOfOneTime(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	models := []api.ListModelResponse{{Name: "a:latest", ModifiedAt: at}, {Name: "b:latest", ModifiedAt: at}}
	assert.True(t, (&claim{name: "a"}).before("b:latest", models))
	assert.False(t, (&claim{name: "b"}).before("a:latest", models))
}

// TestClaimDespiteAnError: a proxy can report an error although the server has created the claim.
func TestClaimDespiteAnError(t *testing.T) {
	f := ollamatest.New(t)
	f.Simulate(1)
	copying := f.Answers["/api/copy"]
	f.Answers["/api/copy"] = func(w http.ResponseWriter, r *http.Request) {
		copying(httptest.NewRecorder(), r)
		ollamatest.ReplyStatus(http.StatusGatewayTimeout, "too late")(w, r)
	}
	s := &Server{URL: f.URL, answerTimeout: time.Second}
	_, _, err := s.Claim(t.Context(), "tiny")
	require.NoError(t, err)
	models, err := s.list(t.Context())
	require.NoError(t, err)
	assert.Len(t, models, 1, "the claim is deleted, since nobody else would do so")
}

// TestClaimRefused checks that a sweep runs without a claim if a proxy or the server refuses the copy.
func TestClaimRefused(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusInternalServerError} {
		f := ollamatest.New(t)
		f.Simulate(1)
		f.Answers["/api/copy"] = ollamatest.ReplyStatus(status, `{"error":"not here"}`)
		var log strings.Builder
		s := &Server{URL: f.URL, Log: lines.Comments(&log), answerTimeout: time.Second}
		others, first, err := s.Claim(t.Context(), "tiny")
		require.NoError(t, err)
		assert.Empty(t, others)
		assert.True(t, first)
		assert.Contains(t, log.String(), "# this sweep can't mark the server as in use (")
		require.NoError(t, s.Unclaim(t.Context()))
		s.renewClaim(t.Context())
	}
}

func copyOf(source, destination string) *api.CopyRequest {
	return &api.CopyRequest{Source: source, Destination: destination}
}
