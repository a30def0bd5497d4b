package parse

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// reported returns a text from a public report, shortened and with other paths and host
// names (see testdata/README.md).
func reported(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "reported", name))
	require.NoError(t, err)
	return text
}

func TestServerLogReported(t *testing.T) {
	for file, want := range map[string]measurement.Effective{
		"server-tensor-split.log":  {NumCtx: 32768, NumBatch: 512, Parallel: 1},
		"server-0.33-vulkan.log":   {NumCtx: 131072, NumBatch: 512, Parallel: 1},
		"server-0.33-parallel.log": {NumCtx: 4096, NumBatch: 1024, Parallel: 2},
		"server-0.32-windows.log":  {NumCtx: 8192, NumBatch: 512, Parallel: 1},
		"server-docker.json.log":   {NumCtx: 4096, NumBatch: 512, Parallel: 2},
	} {
		got, ok := ServerLog(reported(t, file))
		assert.True(t, ok, file)
		assert.Equal(t, want, got.Only(nil), file)
	}
	assert.True(t, ServerLogEnded(reported(t, "server-0.32-windows.log")))
}

func TestDevicesReported(t *testing.T) {
	for file, want := range map[string][]string{
		"server-jetson.log":          {"Orin (driver 12.2)"},
		"server-0.30-integrated.log": {"AMD BC-250 (RADV GFX1013)", "NVIDIA GeForce GTX 1060 6GB"},
		"server-compose.log":         {"NVIDIA GeForce RTX 3070 Laptop GPU (driver 12.3)"},
		"server-docker.json.log":     {"NVIDIA GeForce RTX 4080 (driver 12.3)"},
	} {
		got, err := Devices(strings.NewReader(string(reported(t, file))))
		require.NoError(t, err, file)
		assert.Equal(t, want, got, file)
	}
}

// TestDockerLog reads Docker's JSON with complete and incomplete lines.
func TestDockerLog(t *testing.T) {
	const start = `{"log":"msg=\"starting llama-server\" cmd=\"llama-server --model x -c 8192 -np 1 -b 512 -ub 512\"\n","stream":"stderr","time":"2026-06-05T12:36:11.7Z"}` + "\n"
	const failed = `{"log":"ggml_backend_cuda_buffer_type_alloc_buffer: allocating 100.00 MiB on device 0: cudaMalloc failed: out of memory\n","stream":"stderr"}` + "\n"
	for _, test := range []struct {
		name, log string
		want      measurement.Effective
		failed    bool
	}{
		{"an incomplete line", start + start[:90], measurement.Effective{NumCtx: 8192, NumBatch: 512, Parallel: 1}, false},
		{"a long line, in two parts", `{"log":"msg=\"starting llama-server\" cmd=\"llama-server --model x -c 81"}` + "\n" + `{"log":"92 -np 1 -b 512\"\n"}` + "\n", measurement.Effective{NumCtx: 8192, NumBatch: 512, Parallel: 1}, false},
		{"a failure", start + failed, measurement.Effective{NumCtx: 8192, NumBatch: 512, Parallel: 1}, true},
		{"the model's own JSON", `{"logit_bias":1}` + "\n" + start, measurement.Effective{NumCtx: 8192, NumBatch: 512, Parallel: 1}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := ServerLog([]byte(test.log))
			assert.True(t, ok)
			assert.Equal(t, test.want, got.Only(nil))
			failure, ok := LogFailure([]byte(test.log))
			assert.Equal(t, test.failed, ok)
			if test.failed {
				assert.Equal(t, "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 100.00 MiB on device 0: cudaMalloc failed: out of memory", failure.Detail)
			}
		})
	}
}

func TestGPUReadingReported(t *testing.T) {
	for file, want := range map[string][]measurement.GPU{
		"nvidia-smi-mig.csv":           {{TemperatureC: 47, PowerW: 67.2}},
		"nvidia-smi-gb10.csv":          {{TemperatureC: 36, SMClockMHz: 208, PowerW: 3.5}},
		"nvidia-smi-unknown-error.csv": {{TemperatureC: 56, SMClockMHz: 1560, MemoryMiB: 6800, Utilization: 100}},
		"nvidia-smi-lost.csv":          {{TemperatureC: 65, SMClockMHz: 1980, PowerW: 312.45, MemoryMiB: 70123, Utilization: 98, Throttle: []string{"SW power cap"}}, {Index: 1}},
		"nvidia-smi-err.csv":           {{TemperatureC: 65, SMClockMHz: 1980, MemoryMiB: 70123, Utilization: 98}},
		"nvidia-smi-notsupported.csv":  {{TemperatureC: 44}},
	} {
		var got []measurement.GPU
		for line := range strings.Lines(string(reported(t, file))) {
			g, err := GPUReading(line)
			if strings.HasPrefix(line, "Unable to determine") {
				assert.ErrorContains(t, err, "is not a line of 7 values")
				continue
			}
			require.NoError(t, err, line)
			got = append(got, g)
		}
		assert.Equal(t, want, got, file)
	}
}

func TestSummaryReported(t *testing.T) {
	thinking := measurement.Sample{
		TotalDuration: 147989997625, LoadDuration: 559665542,
		PromptEvalCount: 13, PromptEvalDuration: 19747 * time.Millisecond, EvalCount: 1133, EvalDuration: 127682 * time.Millisecond,
	}
	for file, want := range map[string]measurement.Sample{
		"run-thinking.stderr": thinking,
		"run-crlf.stderr":     thinking,
		"run-fork.stderr": { // which prints additional lines
			TotalDuration: 835322625, LoadDuration: 452875,
			PromptEvalCount: 42, PromptEvalDuration: 593785 * time.Microsecond, EvalCount: 10, EvalDuration: 240374 * time.Microsecond,
		},
		"run-last-batch.stderr": { // valid here, but refused by check.Sample
			TotalDuration: 31273112939, LoadDuration: 4970546570,
			PromptEvalCount: 32768, PromptEvalDuration: 235137439, EvalCount: 1873, EvalDuration: 18173182374,
		},
	} {
		got, err := Summary(reported(t, file))
		require.NoError(t, err, file)
		assert.Equal(t, want, got, file)
	}
	_, err := Summary(reported(t, "run-no-prompt.stderr"))
	assert.ErrorContains(t, err, "Parse error: no prompt eval count and duration in the summary")
}
