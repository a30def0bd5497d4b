package ollamarun

import (
	"errors"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// fakeMarks replaces the list in an out folder.
type fakeMarks struct {
	data   []byte
	failed error
}

func (m *fakeMarks) Read() ([]byte, error)   { return m.data, m.failed }
func (m *fakeMarks) Write(data []byte) error { m.data = data; return m.failed }

// marked returns a simulated server with the model tiny, the list of a sweep on it, and a function that
// creates a model there.
func marked(t *testing.T) (*Server, *fakeMarks, func(name string) string) {
	t.Helper()
	f := ollamatest.New(t)
	f.Simulate(1)
	marks := &fakeMarks{}
	s := &Server{URL: f.URL, ModelList: marks}
	return s, marks, func(name string) string {
		require.NoError(t, s.client().Copy(t.Context(), copyOf("tiny", name)))
		return name
	}
}

// inContainer is the owner of a model that was created in another process namespace.
var inContainer = modelOwner{place: "0123456789ab", pid: 1, start: 5}

// TestMarks checks that the list identifies the models that a killed sweep left, wherever it ran and
// whatever else the file contains.
func TestMarks(t *testing.T) {
	s, marks, create := marked(t)
	ours, byOtherName, others, older := create(inContainer.newName()), create(inContainer.newName()), create(inContainer.newName()), create("ollama-sweep-tmp-1f3a9c07-4711-1")
	at := " " + s.Address() + "\n"
	neverMade := endedOwner(t).newName() + at
	elsewhere := inContainer.newName() + at + endedOwner(t).newName() + " http://10.0.0.1:11434\n"
	marks.data = []byte("tiny" + at + older + at + ours + at + "\n" + byOtherName + " http://ollama:11434\n" + neverMade + elsewhere + "\x00\xff" + others + at + "ollama-sweep")

	deleted, unsure, err := s.DeleteLeftovers(t.Context())
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{ours + ":latest", byOtherName + ":latest"}, deleted)
	assert.ElementsMatch(t, []string{others + ":latest", older + ":latest"}, unsure)
	assert.Equal(t, elsewhere, string(marks.data), "models that may be on another server stay in the list")

	name, err := s.newTemporary()
	require.NoError(t, err)
	assert.Equal(t, elsewhere+name+at, string(marks.data), "listed before it is created")
	create(name)
	deleted, unsure, err = s.DeleteLeftovers(t.Context())
	require.NoError(t, err)
	assert.Empty(t, deleted, "this process still runs")
	assert.Len(t, unsure, 2)
	require.NoError(t, s.delete(t.Context(), name))
	assert.Equal(t, elsewhere, string(marks.data))
}

// TestMarksAfterKills covers a kill between listing and creating a model, and one between deleting a
// model and removing it from the list.
func TestMarksAfterKills(t *testing.T) {
	s, marks, create := marked(t)
	left := endedOwner(t)
	marks.data = []byte(left.newName() + " " + s.Address() + "\n")
	deleted, unsure, err := s.DeleteLeftovers(t.Context())
	require.NoError(t, err)
	assert.Empty(t, append(deleted, unsure...))
	assert.Empty(t, marks.data)

	// With the same address, the server can be another machine's: the model on ours stays in the list.
	name := inContainer.newName()
	marks.data = []byte(name + " " + s.Address() + "\n")
	_, _, err = s.DeleteLeftovers(t.Context())
	require.NoError(t, err)
	create(name)
	deleted, _, err = s.DeleteLeftovers(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{name + ":latest"}, deleted)
	assert.Empty(t, marks.data)
}

// TestMarksErrors checks that no model is created that can't be listed, and none deleted if the list
// can't be read.
func TestMarksErrors(t *testing.T) {
	marks := &fakeMarks{failed: errors.New("a link")}
	s := &Server{URL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, ModelList: marks} // gets no request
	_, err := s.newTemporary()
	assert.ErrorContains(t, err, "list of temporary models: a link")
	_, _, err = s.DeleteLeftovers(t.Context())
	assert.ErrorContains(t, err, "list of temporary models: a link")
	assert.ErrorContains(t, s.delete(t.Context(), endedOwner(t).newName()), "list of temporary models: a link")
}
