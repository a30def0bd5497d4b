package parse

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// settingNames are the names of the settings besides num_ctx and num_batch.
var settingNames = []string{"num_gpu", "main_gpu", "num_thread", "use_mmap", "draft_num_predict", "flash_attention", "kv_cache_type", "num_parallel"}

// values returns the effective settings by their names, without those that are unknown.
func values(e measurement.Effective) map[string]string {
	all := make(map[string]string)
	for _, name := range settingNames {
		if value, ok := e.Value(name); ok {
			all[name] = value
		}
	}
	return all
}

func TestLoadOptions(t *testing.T) {
	for file, want := range map[string]map[string]string{
		// Without a GPU, num_gpu=1 and a num_gpu of 99 put no layer on one.
		"ollama-0.10.1-load-options.log":    {"num_gpu": "0", "num_thread": "2", "use_mmap": "true", "flash_attention": "off", "kv_cache_type": "f16", "num_parallel": "1"},
		"ollama-0.10.1-load-draft.log":      {"num_gpu": "0", "num_thread": "2", "use_mmap": "false", "draft_num_predict": "0", "flash_attention": "off", "kv_cache_type": "f16", "num_parallel": "1"},
		"ollama-0.10.1-load-cache-type.log": {"num_gpu": "0", "num_thread": "9", "use_mmap": "false", "flash_attention": "off", "kv_cache_type": "f16", "num_parallel": "1"},
		"ollama-0.32.5-load-options.log":    {"num_gpu": "0", "num_thread": "2", "use_mmap": "true", "draft_num_predict": "0", "flash_attention": "on", "kv_cache_type": "f16", "num_parallel": "1"},
		"ollama-0.32.5-load-cache-type.log": {"num_gpu": "0", "num_thread": "9", "use_mmap": "false", "draft_num_predict": "0", "flash_attention": "on", "kv_cache_type": "q8_0", "num_parallel": "1"},
		"ollama-0.32.5-load-main-gpu.log":   {"num_gpu": "0", "main_gpu": "1", "num_thread": "2", "use_mmap": "false", "draft_num_predict": "0", "flash_attention": "off", "kv_cache_type": "f16", "num_parallel": "2"},
		"ollama-0.32.5-load-2048-64.log":    {"num_gpu": "0", "num_thread": "1", "use_mmap": "false", "draft_num_predict": "0", "flash_attention": "on", "kv_cache_type": "f16", "num_parallel": "1"},
		"ollama-0.12.6-format.log":          {"num_gpu": "25", "main_gpu": "0", "num_thread": "8", "use_mmap": "true", "flash_attention": "off", "kv_cache_type": "f16", "num_parallel": "2"},
		"ollama-0.24.0-engine-format.log":   {"num_gpu": "25", "main_gpu": "0", "num_thread": "8", "use_mmap": "false", "flash_attention": "on", "kv_cache_type": "f16", "num_parallel": "2"},
		"ollama-0.30.0-format.log":          {"num_thread": "8", "draft_num_predict": "0", "flash_attention": "auto", "kv_cache_type": "q8_0", "num_parallel": "2"},
		"reported/server-tensor-split.log":  {"num_gpu": "65", "num_thread": "32", "flash_attention": "on", "kv_cache_type": "f16", "num_parallel": "1"},
		"reported/server-0.32-windows.log":  {"num_gpu": "29", "num_thread": "8", "use_mmap": "false", "draft_num_predict": "0", "flash_attention": "on", "kv_cache_type": "f16", "num_parallel": "1"}, // -ngl 99, of 29 layers
		"reported/server-0.33-parallel.log": {"use_mmap": "false", "draft_num_predict": "0", "flash_attention": "auto", "kv_cache_type": "f16", "num_parallel": "2"},
	} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		got, ok := ServerLog(text)
		assert.True(t, ok, file)
		assert.Equal(t, want, values(got), file)
	}
}

// TestLoadOptionForms has lines that were not captured, but written according to the source of these
// versions.
func TestLoadOptionForms(t *testing.T) {
	const server = `msg="starting llama-server" cmd="llama-server --model /m/a -c 8192 -np 1 --flash-attn auto -b 512 -ub 512`
	const commit = `msg=load request="{Operation:commit Parallel:1 BatchSize:512 FlashAttention:Disabled KvSize:4096 KvCacheType: NumThreads:8`
	const draft = "\nllama_context: flash_attn = disabled\nllama_kv_cache: size = 1.00 MiB, K (f16): 0.50 MiB\nload_tensors: offloaded 1/1 layers to GPU\nload_tensors: loading model tensors (mmap = true"
	for _, test := range []struct{ name, text, setting, want string }{
		{"a GPU that main_gpu chose", `msg="selecting requested single GPU for llama-server model" requested_main_gpu=2 main_gpu=0 id=1` + "\n" + server + ` --split-mode none --main-gpu 0"`, "main_gpu", "2"},
		{"a GPU that the server chose", `msg="selecting single GPU for llama-server model" main_gpu=0 id=1` + "\n" + server + ` --split-mode none --main-gpu 0"`, "main_gpu", "0"},
		{"a draft model", server + ` --spec-type draft-mtp --spec-draft-n-max 7"`, "draft_num_predict", "7"},
		{"no GPU, of a load request", commit + ` GPULayers:[] MainGPU:0 UseMmap:true}"`, "num_gpu", "0"},
		{"Ollama's own engine", commit + ` GPULayers:30[ID:0 Layers:30(0..29)]}"` + "\n" + `msg="offloaded 26/30 layers to GPU"`, "num_gpu", "26"},
		{"fewer layers than asked for", server + ` -ngl 40"` + "\nload_tensors: offloaded 33/33 layers to GPU\nload_tensors:        CUDA0 model buffer size =  3847.55 MiB", "num_gpu", "33"},
		{"flash attention that is not supported", server + "\"\nllama_context: flash_attn    = auto\nresolve_fused_ops: Flash Attention not supported, set to disabled", "flash_attention", "off"},
		{"flash attention that was chosen", server + "\"\nllama_context: flash_attn    = auto\nllama_context: Flash Attention was auto, set to enabled", "flash_attention", "on"},
		{"weights in the page cache", server + "\"\nload_tensors: loading model tensors, this can take a while... (load_mode = mmap)", "use_mmap", "true"},
		{"direct I/O", server + ` --load-mode dio"`, "use_mmap", "false"},
		{"draft model, flash attention", server + "\"\nllama_context: flash_attn = enabled" + draft, "flash_attention", "on"},
		{"draft model, cache", server + "\"\nllama_kv_cache: size = 1.00 MiB, K (q8_0): 0.50 MiB" + draft, "kv_cache_type", "q8_0"},
		{"draft model, layers", server + "\"\nload_tensors: offloaded 29/33 layers to GPU" + draft, "num_gpu", "29"},
		{"draft model, weights", server + "\"\nload_tensors: loading model tensors (load_mode = none)" + draft, "use_mmap", "false"},
	} {
		got, ok := ServerLog([]byte(test.text))
		require.True(t, ok, test.name)
		value, ok := got.Value(test.setting)
		assert.True(t, ok, test.name)
		assert.Equal(t, test.want, value, test.name)
	}
	got, _ := ServerLog([]byte(`msg="starting llama server" cmd="ollama runner --ctx-size 1024 --batch-size 64"`))
	assert.Equal(t, map[string]string{"flash_attention": "off", "kv_cache_type": "f16"}, values(got), "what the log does not show is unknown")
	_, ok := got.Value("no_such_setting")
	assert.False(t, ok)
}

// TestOnly checks that every setting that a log can show can be kept or left out.
func TestOnly(t *testing.T) {
	got, ok := ServerLog([]byte(`msg="starting llama-server" cmd="llama-server --model /m/a -c 8192 -np 1 --no-mmap --flash-attn on -b 512 -ub 512 -ngl 4 -t 2 --main-gpu 0 --spec-draft-n-max 4"`))
	require.True(t, ok)
	require.Len(t, values(got), len(settingNames))
	assert.Equal(t, measurement.Effective{NumCtx: 8192, NumBatch: 512, Parallel: 1}, got.Only(nil))
	assert.Equal(t, got, got.Only(settingNames))
	for _, name := range settingNames {
		want, _ := got.Value(name)
		only := got.Only([]string{name})
		value, _ := only.Value(name)
		assert.Equal(t, want, value)
		assert.LessOrEqual(t, len(values(only)), 2, "%s and num_parallel", name)
	}
}
