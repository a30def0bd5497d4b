package ollamarun

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// newFakeCLI returns a runner whose command is this test binary.
func newFakeCLI(t *testing.T, fake string) (c *CLI, f *ollamatest.Server, seen string) {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	command := filepath.Join(dir, "ollama")
	require.NoError(t, os.Symlink(binary, command))
	summary, err := filepath.Abs("../parse/testdata/ollama-0.10.1-run.stderr")
	require.NoError(t, err)
	unfinished, err := filepath.Abs("../parse/testdata/ollama-0.32.5-run-unfinished.stderr")
	require.NoError(t, err)
	seen = filepath.Join(dir, "seen")
	t.Setenv("FAKE_UNFINISHED", unfinished)
	t.Setenv("FAKE", fake)
	t.Setenv("FAKE_SUMMARY", summary)
	t.Setenv("FAKE_SEEN", seen)
	f, s := newFakeServer(t)
	c, err = NewCLI(t.Context(), s, command, FromModel("tiny"), 2, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(context.Background())) })
	return c, f, seen
}

func TestCLIFigures(t *testing.T) {
	for _, fake := range []string{"", "megabytes"} {
		c, _, seen := newFakeCLI(t, fake)
		loaded, err := c.Load(t.Context(), 4096, 128, ollamatest.Constant("warm up"))
		require.NoError(t, err)
		want := measurement.Sample{PromptEvalCount: 943, PromptEvalDuration: 297594909, EvalCount: 2, EvalDuration: 1870838, LoadDuration: 264095302, TotalDuration: 564506889}
		assert.Positive(t, loaded.Warmup.Wall)
		loaded.Warmup.Wall = 0
		assert.Equal(t, want, loaded.Warmup, "generated text is not parsed")
		assert.Equal(t, 2048, loaded.ContextLength)
		modelfile, err := os.ReadFile(seen)
		require.NoError(t, err)
		assert.Equal(t, "FROM tiny\nPARAMETER num_ctx 4096\nPARAMETER num_batch 128\nPARAMETER num_predict 2\n", string(modelfile))
	}
}

func TestCLIFaults(t *testing.T) {
	for fake, want := range map[string]measurement.Failure{
		"no summary": {Class: measurement.NoFigures, Detail: `no prompt eval count and duration in the summary: "", for each of 4 prompts: Ollama 0.30 and later send no figures where the generated text ends within a character; use another num_predict, such as 8`},
		"error":      {Class: measurement.OutOfGPUMemory, Detail: "500 Internal Server Error: llama runner process has terminated: cudaMalloc failed: out of memory"},
		"two lines":  {Class: measurement.OutOfSystemMemory, Detail: "500 Internal Server Error: llama-server process has terminated: exit status 1: ggml_cuda_host_malloc: failed to allocate 9.00 MiB of pinned memory: out of memory\nggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 99"},
		"too long":   {Class: measurement.PromptTruncated, Detail: "400 Bad Request: request (3620 tokens) exceeds the available context size (512 tokens), try increasing it"},
		"busy":       {Class: measurement.ServerBusy, Detail: "503 Service Unavailable: try later"},
		"loading":    {Class: measurement.ServerBusy, Detail: "503 Service Unavailable: Loading model"},
		"killed":     {Class: measurement.OutOfSystemMemory, Detail: "ollama run was killed with SIGKILL, as the system does when memory runs out"},
		"no message": {Class: measurement.NoFigures, Detail: "ollama run: exit status 3, without an error message"},
	} {
		c, _, _ := newFakeCLI(t, fake)
		_, err := c.Load(t.Context(), 4096, 128, ollamatest.Constant("warm up"))
		assert.Equal(t, &want, err, fake)
		assert.Equal(t, want.Class == measurement.ServerBusy, c.busy.times == 1, "%s: Ready needs the count", fake)
	}
}

func TestCLIHangs(t *testing.T) {
	c, _, _ := newFakeCLI(t, "hang")
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, enough)
	defer cancel()
	_, err := c.Sample(ctx, ollamatest.Constant("x"))
	assert.ErrorIs(t, err, enough)
}

func TestCLIClose(t *testing.T) {
	c, f, _ := newFakeCLI(t, "")
	f.ClearRequests()
	assert.DirExists(t, c.dir.Path)
	require.NoError(t, c.Close(t.Context()))
	assert.Empty(t, f.Requests(), "nothing was created, so there is nothing to delete")
	assert.NoDirExists(t, c.dir.Path)

	c, f, _ = newFakeCLI(t, "")
	_, err := c.Load(t.Context(), 4096, 128, ollamatest.Constant("warm up"))
	require.NoError(t, err)
	f.Answers["/api/generate"] = ollamatest.ReplyStatus(404, `{"error":"model not found"}`)
	require.NoError(t, c.Close(t.Context()))
	assert.Contains(t, f.AskedOf(t, "/api/delete"), "DELETE ")
}

func TestCLINeedsItsCommand(t *testing.T) {
	_, err := NewCLI(t.Context(), &Server{}, filepath.Join(t.TempDir(), "ollama"), FromModel("tiny"), 2, t.TempDir())
	assert.ErrorContains(t, err, "name its file with -ollama FILE, or use -runner api, which needs no command")
}

func TestCLIChecksItsCommand(t *testing.T) {
	var log bytes.Buffer
	c, _, _ := newFakeCLI(t, "")
	c.Log = lines.Comments(&log)
	require.NoError(t, c.checkCommand(t.Context()))
	assert.Empty(t, log.String())

	t.Setenv("FAKE", "other version")
	require.NoError(t, c.checkCommand(t.Context()))
	assert.Equal(t, "# warning: the ollama command has version 0.5.4 and the server 0.10.1: the command may lack what the server needs\n", log.String())
	t.Setenv("FAKE", "no ollama")
	assert.EqualError(t, c.checkCommand(t.Context()), c.command+` is not the ollama command: --version prints "GNU coreutils" (exit status 0)`)
	t.Setenv("FAKE", "hanging version")
	c.answerTimeout = 500 * time.Millisecond
	assert.EqualError(t, c.checkCommand(t.Context()), c.command+" --version did not exit within 500ms")
}

// TestTemplateIsTried checks that a template that gives no model, or none that can be measured,
// is an error before the first cell.
func TestTemplateIsTried(t *testing.T) {
	c, f, seen := newFakeCLI(t, "")
	file := filepath.Join(t.TempDir(), "template")
	require.NoError(t, os.WriteFile(file, []byte("FROM tiny\nPARAMETER num_thread 1\n"), 0o644))
	template, err := ReadModelfile(file)
	require.NoError(t, err)
	try := func() error {
		f.ClearRequests()
		again, err := NewCLI(t.Context(), c.Server, c.command, template, 2, t.TempDir())
		if err == nil {
			err = again.Close(t.Context())
		}
		assert.Contains(t, f.AskedOf(t, "/api/delete"), "ollama-sweep-tmp-", "nothing is left behind")
		return err
	}
	require.NoError(t, try())
	text, err := os.ReadFile(seen)
	require.NoError(t, err)
	assert.Equal(t, "FROM tiny\nPARAMETER num_thread 1\n", string(text))

	f.Answers["/api/show"] = ollamatest.Reply(recent(t, "show-mlx.json"))
	assert.ErrorContains(t, try(), "is an MLX model")
	t.Setenv("FAKE", "no create")
	assert.ErrorContains(t, try(), `model of the template "tiny": creating it: Model error: (line 2): command must be one of`)
}

func TestTailKeepsTheEnd(t *testing.T) {
	var out tail
	for range 3 * tailSize / 8 {
		out.Write([]byte("12345678"))
	}
	out.Write([]byte("end"))
	assert.LessOrEqual(t, len(out), 2*tailSize+3)
	assert.Equal(t, "5678end", string(out[len(out)-7:]))
}

func TestSumMiB(t *testing.T) {
	assert.Equal(t, int64(24576+8192)<<20, sumMiB("24576\n8192\n"))
	assert.Zero(t, sumMiB("[N/A]\n"))
	assert.Zero(t, sumMiB("Failed to initialize NVML: Driver/library version mismatch\n"))
}

func TestParseGPUs(t *testing.T) {
	captured := func(name string) string {
		text, err := os.ReadFile(filepath.Join("testdata", "nvidia-smi-h200-"+name+".txt"))
		require.NoError(t, err)
		return string(text)
	}
	one, version := parseGPUs(captured("gpus"))
	assert.Equal(t, []string{"NVIDIA H200"}, one)
	assert.Equal(t, "580.159.04", version)
	assert.Equal(t, int64(143771)<<20, sumMiB(captured("memory")))

	names, driver := parseGPUs("NVIDIA GeForce RTX 3090, 550.54.14\nNVIDIA GeForce RTX 3090, 550.54.14\n")
	assert.Equal(t, []string{"NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 3090"}, names)
	assert.Equal(t, "550.54.14", driver)
	names, driver = parseGPUs("Failed to initialize NVML: Driver/library version mismatch\n")
	assert.Empty(t, names)
	assert.Empty(t, driver)
}
