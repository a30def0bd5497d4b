package ollamarun

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// inMemory answers /api/ps with models of these names.
func inMemory(t *testing.T, names ...string) http.HandlerFunc {
	t.Helper()
	entry := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(ollamatest.Captured("ps.json")), `{"models":[`), "]}")
	var entries []string
	for _, name := range names {
		entries = append(entries, strings.ReplaceAll(entry, "tiny:latest", name))
	}
	return ollamatest.Reply(`{"models":[` + strings.Join(entries, ",") + `]}`)
}

// TestLoadedUnderAnotherTag checks that a single model in memory counts as the one that was loaded.
func TestLoadedUnderAnotherTag(t *testing.T) {
	f, s := newFakeServer(t)
	m, ok, others, err := s.Loaded(t.Context(), "ollama-sweep-tmp-00000000-1-1")
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Empty(t, others)
	assert.Equal(t, 2048, m.ContextLength)

	f.Answers["/api/ps"] = ollamatest.Reply(`{"models":[]}`)
	_, ok, _, err = s.Loaded(t.Context(), "tiny")
	require.NoError(t, err)
	assert.False(t, ok)
}

func TestLoadedListsOthers(t *testing.T) {
	f, s := newFakeServer(t)
	f.Answers["/api/ps"] = inMemory(t, "llama3.1:8b", "tiny:latest", "qwen3:30b")
	m, ok, others, err := s.Loaded(t.Context(), "tiny")
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, "tiny:latest", m.Name)
	assert.Equal(t, []string{"llama3.1:8b", "qwen3:30b"}, others)

	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	loaded, err := a.Load(t.Context(), 2048, 64, ollamatest.Constant("warm up"))
	require.NoError(t, err)
	assert.Equal(t, others, loaded.Others)
	sample, err := a.Sample(t.Context(), ollamatest.Constant("one"))
	require.NoError(t, err)
	assert.Equal(t, others, sample.Others)
}

func TestExclusive(t *testing.T) {
	t.Parallel()
	f, s := newFakeServer(t)
	var log bytes.Buffer
	s.Log, s.Exclusive = &log, true
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	f.Answers["/api/ps"] = inMemory(t, "llama3.1:8b", "tiny:latest")
	generate := f.Answers["/api/generate"]
	f.Answers["/api/generate"] = func(w http.ResponseWriter, r *http.Request) {
		f.Answers["/api/ps"] = inMemory(t, "tiny:latest")
		generate(w, r)
	}
	f.ClearRequests()
	loaded, err := a.Load(t.Context(), 2048, 64, ollamatest.Constant("warm up"))
	require.NoError(t, err)
	assert.Empty(t, loaded.Others)
	assert.Contains(t, f.AskedOf(t, "/api/generate"), `"model":"llama3.1:8b"`, "it is unloaded first")
	assert.Contains(t, log.String(), "unloading llama3.1:8b because of -exclusive\n")

	f.Answers["/api/generate"] = func(w http.ResponseWriter, r *http.Request) {
		f.Answers["/api/ps"] = inMemory(t, "llama3.1:8b", "tiny:latest")
		generate(w, r)
	}
	f.Answers["/api/ps"] = inMemory(t, "llama3.1:8b", "tiny:latest")
	_, err = a.Load(t.Context(), 2048, 64, ollamatest.Constant("warm up"))
	assert.ErrorContains(t, err, "llama3.1:8b is still in the server's memory although -exclusive has unloaded it")
	var failure *measurement.Failure
	assert.NotErrorAs(t, err, &failure, "it is not a failure of the cell")
}

// TestCompany distinguishes the models of running sweeps from those of a killed one.
func TestCompany(t *testing.T) {
	f, s := newFakeServer(t)
	alive := thisSystem.self.newName()
	left := endedOwner(t).newName() + ":latest"
	f.Answers["/api/ps"] = inMemory(t, "llama3.1:8b", alive, left)
	c, err := s.OtherClients(t.Context(), "tiny")
	require.NoError(t, err)
	assert.Equal(t, measurement.OtherClients{Sweeps: []string{alive}, Ours: true, Others: []string{"llama3.1:8b"}}, c)
	f.Answers["/api/ps"] = inMemory(t, "tiny:latest")
	c, err = s.OtherClients(t.Context(), "tiny")
	require.NoError(t, err)
	assert.Equal(t, measurement.OtherClients{Ours: true}, c)
}
