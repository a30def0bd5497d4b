package ollamarun

import (
	"errors"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// fakeMarks are an out folder's.
type fakeMarks struct {
	data   []byte
	failed error
}

func (m *fakeMarks) Read() ([]byte, error)   { return m.data, m.failed }
func (m *fakeMarks) Write(data []byte) error { m.data = data; return m.failed }

// marked returns a simulated server with the model tiny, the marks of a sweep on it, and what makes a
// model there.
func marked(t *testing.T) (*Server, *fakeMarks, func(name string) string) {
	t.Helper()
	f := ollamatest.New(t)
	f.Simulate(1)
	marks := &fakeMarks{}
	s := &Server{URL: f.URL, Marks: marks}
	return s, marks, func(name string) string {
		require.NoError(t, s.client().Copy(t.Context(), copyOf("tiny", name)))
		return name
	}
}

// inContainer is the owner of a model of which nothing is known here.
var inContainer = modelOwner{place: "0123456789ab", pid: 1, start: 5}

// TestMarks: the next sweep in an out folder knows by them what one left that was killed, wherever it
// was, and whatever else the file holds.
func TestMarks(t *testing.T) {
	s, marks, create := marked(t)
	ours, byOtherName, others, older := create(inContainer.newName()), create(inContainer.newName()), create(inContainer.newName()), create("ollama-sweep-tmp-1f3a9c07-4711-1")
	at := " " + s.Address() + "\n"
	neverMade := gone(t).newName() + at
	elsewhere := inContainer.newName() + at + gone(t).newName() + " http://10.0.0.1:11434\n"
	marks.data = []byte("tiny" + at + older + at + ours + at + "\n" + byOtherName + " http://ollama:11434\n" + neverMade + elsewhere + "\x00\xff" + others + at + "ollama-sweep")

	deleted, unsure, err := s.DeleteLeftovers(t.Context())
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{ours + ":latest", byOtherName + ":latest"}, deleted)
	assert.ElementsMatch(t, []string{others + ":latest", older + ":latest"}, unsure)
	assert.Equal(t, elsewhere, string(marks.data), "what can be on another server is still there")

	name, err := s.newTemporary()
	require.NoError(t, err)
	assert.Equal(t, elsewhere+name+at, string(marks.data), "before it is made")
	create(name)
	deleted, unsure, err = s.DeleteLeftovers(t.Context())
	require.NoError(t, err)
	assert.Empty(t, deleted, "this process lives")
	assert.Len(t, unsure, 2)
	require.NoError(t, s.delete(t.Context(), name))
	assert.Equal(t, elsewhere, string(marks.data))
}

// TestMarksAfterKills: between the mark and the model, and between the deletion and the mark's end.
func TestMarksAfterKills(t *testing.T) {
	s, marks, create := marked(t)
	left := gone(t)
	marks.data = []byte(left.newName() + " " + s.Address() + "\n")
	deleted, unsure, err := s.DeleteLeftovers(t.Context())
	require.NoError(t, err)
	assert.Empty(t, append(deleted, unsure...))
	assert.Empty(t, marks.data)

	// The server is another machine's of the same address: what is on ours is not forgotten.
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

// TestMarksFail: without a mark no model is made, and with marks that can't be read none deleted.
func TestMarksFail(t *testing.T) {
	marks := &fakeMarks{failed: errors.New("a link")}
	s := &Server{URL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Marks: marks} // which is not asked
	_, err := s.newTemporary()
	assert.ErrorContains(t, err, "this folder's: a link")
	_, _, err = s.DeleteLeftovers(t.Context())
	assert.ErrorContains(t, err, "this folder's: a link")
	assert.ErrorContains(t, s.delete(t.Context(), gone(t).newName()), "this folder's: a link")
}
