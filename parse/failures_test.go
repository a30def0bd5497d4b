package parse

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// published are error messages and logs that users published, in testdata/failures.
// Where two classes are possible, the one that does not prune is expected.
var published = []struct {
	file   string
	class  measurement.Class // empty if the log has no failure
	source string
}{
	{"commit-memory.txt", measurement.OutOfGPUMemory, "ollama/ollama#13303"},
	{"mlx-model-requires.txt", measurement.OutOfGPUMemory, "ollama/ollama#17246"},
	{"unknown-architecture.txt", measurement.ModelError, "ollama/ollama#16547, #18486"},
	{"pinned-memory-then-crash.txt", measurement.RunnerCrashed, "after ollama/ollama#17380 and #8964"},
	{"mlx-gpu-crash.txt", measurement.RunnerCrashed, "ollama/ollama#17902"},
	{"mlx-metal-malloc.txt", measurement.OutOfGPUMemory, "lmstudio-ai/lmstudio-bug-tracker#2240, as worded by Ollama"},
	{"backend-buffer.txt", measurement.OutOfSystemMemory, "ollama/ollama#5941, #7711: of the GPU or of the system"},
	{"mlx-not-installed.txt", measurement.ModelError, "ollama/ollama#15471"},
	{"mlx-input-length.txt", measurement.PromptTruncated, "x/mlxrunner/pipeline.go of Ollama 0.33"},
	{"mlx-timeout.txt", measurement.Timeout, "x/mlxrunner/client.go of Ollama 0.33"},
	{"reading-llama-server.txt", measurement.RunnerCrashed, "llm/llama_server.go of Ollama 0.33"},
	{"status-loading-model.txt", measurement.RunnerCrashed, "IceWhaleTech/ZimaOS#466"},
	{"usage-limit-429.txt", measurement.ServerBusy, "continuedev/continue#9233"},
	{"windows-connection-closed.txt", measurement.ServerAway, "ollama/ollama#3237"},
	{"cuda-two-lines.txt", measurement.OutOfGPUMemory, "ollama/ollama#9782"},
	{"metal-buffer.txt", measurement.OutOfGPUMemory, "ollama/ollama#11750"},
	{"memory-layout.txt", measurement.OutOfGPUMemory, "ollama/ollama#15517"},
	{"cuda-device-busy.txt", measurement.RunnerCrashed, "ollama/ollama#6637"},
	{"sycl-memcpy.txt", measurement.RunnerCrashed, "ollama/ollama#14518"},
	{"cuda-resource-allocation.txt", measurement.ResourceAllocation, "ollama/ollama#6515"},
	{"llama-server-timeout.txt", measurement.Timeout, "ollama/ollama#18123"},

	{"pinned-memory-then-assert.log", "", "ollama/ollama#5469, #8964"},
	{"vulkan-pinned-memory-then-assert.log", "", "LostRuins/koboldcpp#1054, ggml-org/llama.cpp#9271 and #7130"},
	{"sycl-out-of-host-memory.log", measurement.OutOfSystemMemory, "mattcurf/ollama-intel-gpu#17"},
	{"level-zero-out-of-device-memory.log", measurement.OutOfGPUMemory, "ggml-org/llama.cpp#21747"},
	{"sycl-cannot-allocate.log", measurement.OutOfGPUMemory, "ggml-org/llama.cpp#28953"},
	{"sycl-out-of-resources.log", measurement.ResourceAllocation, "ggml-org/ggml#1072"},
	{"kv-cache-on-cpu.log", measurement.OutOfSystemMemory, "ggml-org/llama.cpp#8101"},
	{"panic-lists-cpu-buffers.log", measurement.OutOfSystemMemory, "ollama/ollama#11790"},
	{"vulkan-allocation-limit.log", measurement.OutOfGPUMemory, "ggml-org/llama.cpp#15009"},
	{"pinned-memory-then-cuda.log", measurement.OutOfGPUMemory, "ollama/ollama#8964"},
	{"metal-while-reading.log", measurement.OutOfGPUMemory, "ollama/ollama#17024"},
}

func TestReportedFailures(t *testing.T) {
	files, err := os.ReadDir("testdata/failures")
	require.NoError(t, err)
	assert.Len(t, published, len(files), "each file has an entry")
	for _, test := range published {
		t.Run(test.file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata/failures", test.file))
			require.NoError(t, err)
			if strings.HasSuffix(test.file, ".txt") {
				assert.Equal(t, test.class, Classify(string(text)), test.source)
				assert.Equal(t, test.class, Classify(ErrorText([]byte("Error: "+string(text)))), "through the command")
				return
			}
			failure, ok := LogFailure(text)
			require.Equal(t, test.class != "", ok, "%v", failure)
			if ok {
				assert.Equal(t, test.class, failure.Class, test.source)
			}
		})
	}
}

// TestCapturedAnswers0325 classifies captured answers of Ollama 0.32.5.
func TestCapturedAnswers0325(t *testing.T) {
	const noMemory = "llama-server process has terminated: exit status 1: ggml_aligned_malloc: insufficient memory (attempted to allocate 4200.38 MB)\n"
	for _, test := range []struct {
		file   string
		status int
		class  measurement.Class
		detail string
	}{
		{"generate-missing", 404, measurement.ModelError, "model 'nosuch' not found"},
		{"generate-too-long", 400, measurement.PromptTruncated, "request (3620 tokens) exceeds the available context size (512 tokens), try increasing it"},
		{"generate-no-memory", 500, measurement.OutOfSystemMemory, noMemory},
		{"generate-cache-type-refused", 500, measurement.ModelError, "V cache quantization requires flash_attn"},
		{"generate-runner-killed", 500, measurement.RunnerCrashed, `Post "http://127.0.0.1:38687/tokenize": EOF`},
	} {
		_, body, ok := strings.Cut(string(captured0325(t, test.file+".http")), "\r\n\r\n")
		require.True(t, ok)
		var answer struct{ Error string }
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		assert.Equal(t, test.class, ClassifyAnswer(test.status, answer.Error), test.file)
		assert.Equal(t, test.class, Classify(answer.Error), test.file)
		assert.Contains(t, Message(answer.Error), test.detail)
	}
	for file, want := range map[string]measurement.Failure{
		"run-missing":   {Class: measurement.ModelError, Detail: `pull model manifest: Get "https://registry.ollama.ai/v2/library/nosuch/manifests/latest": dial tcp: lookup registry.ollama.ai on 10.255.255.53:53: no such host`},
		"run-no-memory": {Class: measurement.OutOfSystemMemory, Detail: noMemory},
		"create":        {Class: measurement.ModelError, Detail: ""},
	} {
		text := ErrorText(captured0325(t, file+".stderr"))
		assert.Equal(t, want.Class, Classify(text), file)
		assert.Contains(t, text, want.Detail)
		assert.Equal(t, want.Detail == "", text == "", file)
	}
	failure, ok := LogFailure(captured0325(t, "load-no-memory.log"))
	require.True(t, ok)
	assert.Equal(t, &measurement.Failure{Class: measurement.OutOfSystemMemory, Detail: "ggml_gallocr_reserve_n_impl: failed to allocate CPU buffer of size 4404412448"}, failure)
}

func captured0325(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "ollama-0.32.5-"+name))
	require.NoError(t, err)
	return data
}
