package ollamarun

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ollama/ollama/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

func TestDeleteLeftovers(t *testing.T) {
	f, s := newFakeServer(t)
	left := endedOwner(t).newName() + ":latest"
	f.Answers["/api/generate"] = ollamatest.Reply(ollamatest.Captured("generate-unload.ndjson"))
	f.Answers["/api/tags"] = ollamatest.Reply(`{"models":[{"name":"tiny:latest"},{"name":"` + left + `"},{"name":"ollama-sweep-tmp-mine:latest"}]}`)
	deleted, unsure, err := s.DeleteLeftovers(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{left}, deleted)
	assert.Empty(t, unsure)
	require.Len(t, f.Requests(), 4)
	assert.Contains(t, f.Requests()[1], `POST /api/generate {"model":"`+left)
	assert.Contains(t, f.Requests()[3], `DELETE /api/delete {"model":"`+left)

	f.Answers["/api/generate"] = ollamatest.ReplyStatus(http.StatusInternalServerError, `{"error":"unable to read the model"}`)
	deleted, _, err = s.DeleteLeftovers(t.Context())
	require.NoError(t, err, "a broken model can't be unloaded, but is deleted")
	assert.Equal(t, []string{left}, deleted)

	assert.ErrorContains(t, s.delete(t.Context(), "tiny"), "is not a temporary model of this sweep")
	assert.ErrorContains(t, s.delete(t.Context(), "ollama-sweep-tmp-1f3a9c07-4711-1"), "is not a temporary model of this sweep", "of an earlier release")
	f.Answers["/api/delete"] = ollamatest.ReplyStatus(http.StatusNotFound, `{"error":"model not found"}`)
	assert.NoError(t, s.delete(t.Context(), left), "already deleted")
	assert.ErrorContains(t, s.delete(t.Context(), anotherSweeps), "is not a temporary model of this sweep", "of another machine")
	f.Answers["/api/delete"] = ollamatest.ReplyStatus(500, `{"error":"disk"}`)
	assert.ErrorContains(t, s.delete(t.Context(), left), "deleting "+left+": Model error: disk")
}

func TestModelfile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weights.gguf"), []byte("GGUF"), 0o644))
	file := filepath.Join(dir, "template")
	require.NoError(t, os.WriteFile(file, []byte(`# a comment
FROM ./weights.gguf
TEMPLATE """{{ .Prompt }}
end"""
SYSTEM be brief
PARAMETER num_ctx 1
parameter num_batch 2
PARAMETER stop "a b"
PARAMETER num_batch 3
`), 0o644))
	m, err := ReadModelfile(file)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "weights.gguf"), m.From(), "relative to the template")
	assert.Len(t, m.SHA256(), 64)
	changed := m.WithParameter("num_ctx", 4096).WithParameter("num_batch", 512).WithParameter("num_predict", 7)
	want := []parser.Command{
		{Name: "model", Args: filepath.Join(dir, "weights.gguf")},
		{Name: "template", Args: "{{ .Prompt }}\nend"},
		{Name: "system", Args: "be brief"},
		{Name: "stop", Args: "a b"},
		{Name: "num_ctx", Args: "4096"},
		{Name: "num_batch", Args: "512"},
		{Name: "num_predict", Args: "7"},
	}
	assert.Equal(t, want, changed.commands, "replaced and added, the rest kept")
	require.NoError(t, os.WriteFile(file, []byte(changed.String()), 0o644))
	again, err := ReadModelfile(file)
	require.NoError(t, err)
	assert.Equal(t, want, again.commands, "written and read again")
	assert.Contains(t, m.String(), "PARAMETER num_ctx 1\n", "the template itself is not changed")
	assert.Equal(t, "FROM nemotron_f\n", FromModel("nemotron_f").String())

	for text, want := range map[string]string{
		"PARAMETER num_ctx 1\n":      "no FROM line: a template needs a line like `FROM llama3.1:8b`",
		"FROM x\nNONSENSE here\n":    "command must be one of",
		"":                           "no FROM line",
		"FROM x\nMESSAGE robot hi\n": "message role must be one of",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		_, err := ReadModelfile(file)
		assert.ErrorContains(t, err, want, text)
		assert.ErrorContains(t, err, "modelfile "+file)
	}
	_, err = ReadModelfile(filepath.Join(dir, "none"))
	assert.ErrorContains(t, err, "reading modelfile")
}

// TestAPISendsFiles checks that each file of a template is uploaded with its role.
func TestAPISendsFiles(t *testing.T) {
	f, s := newFakeServer(t)
	dir := t.TempDir()
	var text strings.Builder
	digests := make(map[string]string)
	for instruction, name := range map[string]string{"FROM": "weights.gguf", "DRAFT": "draft.gguf", "ADAPTER": "lora.gguf"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
		digests[name] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name)))
		f.Answers["/api/blobs/"+digests[name]] = ollamatest.Reply("")
		fmt.Fprintf(&text, "%s ./%s\n", instruction, name)
	}
	text.WriteString("PARAMETER draft_num_predict 4\n")
	file := filepath.Join(dir, "template")
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o644))
	m, err := ReadModelfile(file)
	require.NoError(t, err)
	_, err = NewAPI(t.Context(), s, "", &m, 2)
	require.NoError(t, err)
	create := f.AskedOf(t, "/api/create")
	for field, name := range map[string]string{"files": "weights.gguf", "draft_files": "draft.gguf", "adapters": "lora.gguf"} {
		assert.Contains(t, f.AskedOf(t, "/api/blobs/"+digests[name]), name)
		assert.Contains(t, create, fmt.Sprintf(`"%s":{"%s":"%s"}`, field, name, digests[name]))
	}
	assert.Contains(t, create, `"parameters":{"draft_num_predict":4}`)
}

func TestAPICreatesATemplateOnce(t *testing.T) {
	f, s := newFakeServer(t)
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("tiny", nil, 0o644), "a file with the model's name is ignored")
	m := FromModel("tiny").WithParameter("mirostat", 1)
	a, err := NewAPI(t.Context(), s, "", &m, 2)
	require.NoError(t, err)
	assert.Contains(t, f.Requests()[0], `POST /api/create {"model":"ollama-sweep-tmp-`)
	assert.Contains(t, f.Requests()[0], `"from":"tiny"`)
	_, err = a.Load(t.Context(), 2048, 64, ollamatest.Constant("x"))
	require.NoError(t, err)
	assert.Contains(t, f.AskedOf(t, "/api/generate"), `"model":"`+a.model)
	assert.NotContains(t, strings.Join(f.Requests()[1:], " "), "/api/create")
	require.NoError(t, a.Close(t.Context()))
	assert.Contains(t, f.AskedOf(t, "/api/delete"), "DELETE ")

	f.ClearRequests()
	f.Answers["/api/create"] = ollamatest.Reply(`{"error":"pull model manifest: file does not exist"}` + "\n")
	_, err = NewAPI(t.Context(), s, "", &m, 2)
	assert.ErrorContains(t, err, `model of the template "tiny": creating it: Model error: pull model manifest: file does not exist`)
	assert.True(t, strings.HasPrefix(f.Requests()[1], "DELETE /api/delete"), "a broken model that it may have left is deleted")
}
