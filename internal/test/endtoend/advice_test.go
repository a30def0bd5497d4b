package endtoend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// TestAdviceIsAccepted applies the files of a sweep's advice to a real Ollama: the Modelfile,
// the options, the environment.
func TestAdviceIsAccepted(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	engine := sweeptest.StartEngine(t, t.TempDir())
	client := api.NewClient(engine.Server.URL, http.DefaultClient)
	template := filepath.Join(t.TempDir(), "template")
	require.NoError(t, os.WriteFile(template, []byte("FROM tiny\nSYSTEM be brief\nPARAMETER num_batch 8\nPARAMETER top_k 5\n"), 0o644))
	out := t.TempDir()
	printed, code := sweeptest.Start(t, "-config", sweeptest.WriteConfig(t, "modelfile: "+template+"\nprompt: {tokens: 200}\nnum_ctx: [1024, 2048]\nnum_batch: [16, 512]\nrepeat: 3\nconfirm: 0\nbaseline: false\noptions: {num_thread: [1, 2], use_mmap: false}\n"), "-out", out, "-host", engine.Server.URL.String()).Wait()
	require.Zero(t, code, printed)

	// The advice of a noisy machine can't be predicted, so the larger num_batch and num_thread are made the
	// slower ones.
	cp := sweeptest.Load(t, out)
	for i := range cp.Results {
		r := &cp.Results[i]
		thread, _ := r.Cell().Value("num_thread")
		took := time.Duration(r.NumBatch+1000) * time.Millisecond
		if thread == "2" {
			took *= 2
		}
		for k := range r.Samples {
			r.Samples[k].PromptEvalDuration = took
		}
		r.SetRate()
	}
	_, err := report.Write(out, cp)
	require.NoError(t, err)

	var options map[string]any
	text, err := os.ReadFile(filepath.Join(out, report.OptionsFile))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &options))
	numCtx := int(options["num_ctx"].(float64))
	require.Contains(t, options, "num_batch")
	assert.InDelta(t, 1, options["num_thread"], 0)
	assert.Equal(t, false, options["use_mmap"])

	create := exec.CommandContext(t.Context(), engine.Ollama, "create", "advised", "-f", filepath.Join(out, report.ModelfileFile))
	create.Env = append(os.Environ(), "OLLAMA_HOST="+engine.Server.URL.String())
	answer, err := create.CombinedOutput()
	require.NoError(t, err, string(answer))
	show, err := client.Show(t.Context(), &api.ShowRequest{Model: "advised"})
	require.NoError(t, err)
	assert.Equal(t, "be brief", show.System)
	assert.Regexp(t, regexp.MustCompile(`(?m)^num_ctx +`+strconv.Itoa(numCtx)+`$`), show.Parameters)
	assert.Regexp(t, regexp.MustCompile(fmt.Sprintf(`(?m)^num_batch +%v$`, options["num_batch"])), show.Parameters)
	assert.Regexp(t, `(?m)^num_thread +1$`, show.Parameters)
	assert.Regexp(t, `(?m)^use_mmap +false$`, show.Parameters)
	assert.Contains(t, show.Parameters, "top_k")
	assert.NotContains(t, show.Parameters, "num_predict")

	options["num_predict"] = 1
	for _, request := range []*api.GenerateRequest{
		{Model: "tiny", Prompt: "hello", Options: options},
		{Model: "advised", Prompt: "hello", Options: map[string]any{"num_predict": 1}},
	} {
		require.NoError(t, client.Generate(t.Context(), request, func(api.GenerateResponse) error { return nil }))
		loaded, err := client.ListRunning(t.Context())
		require.NoError(t, err)
		require.Len(t, loaded.Models, 1)
		assert.Equal(t, sweeptest.ShownCtx(t, numCtx), loaded.Models[0].ContextLength, request.Model)
		require.NoError(t, engine.Server.Unload(t.Context(), request.Model))
	}

	environment, err := os.ReadFile(filepath.Join(out, report.EnvironmentFile))
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^OLLAMA_CONTEXT_LENGTH=`+strconv.Itoa(numCtx)+`$`, string(environment))
}
