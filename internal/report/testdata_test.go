package report

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/golden"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// goldens compares the output of write for several checkpoints with files in testdata.
func goldens(t *testing.T, extension string, write func(io.Writer, *checkpoint.Checkpoint) error) {
	t.Helper()
	for name, cp := range map[string]*checkpoint.Checkpoint{
		"mixed":            mixed(),
		"older_tool":       olderTool(t),
		"nothing_measured": planned([]int{512, 1024}, []int{256, 1024}),
		"no_cells":         planned(nil, nil),
		"searched":         searched(),
		"pruned":           prunedSweep(),
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			require.NoError(t, write(&b, cp))
			golden.Equal(t, name+extension, b.String())
		})
	}
}

// olderTool is a sweep that an older tool recorded on a real Ollama.
func olderTool(t *testing.T) *checkpoint.Checkpoint {
	t.Helper()
	cp, err := checkpoint.Load(filepath.Join("testdata", "older_tool.json"))
	require.NoError(t, err)
	return cp
}

// planned returns a checkpoint of a plan without results.
func planned(ctx, batch []int) *checkpoint.Checkpoint {
	return &checkpoint.Checkpoint{
		Version: checkpoint.Version,
		Sweep:   checkpoint.Header{Model: "tiny", NumCtx: ctx, NumBatch: batch},
	}
}

// steps returns n values from start on, step apart.
func steps(start, step, n int) []int {
	values := make([]int, n)
	for i := range values {
		values[i] = start + i*step
	}
	return values
}

// add appends a cell with samples of the given rates. A rate is exact only if 1000
// tokens take a whole number of nanoseconds at it.
func add(cp *checkpoint.Checkpoint, ctx, batch int, rates ...float64) *checkpoint.Result {
	r := checkpoint.Result{NumCtx: ctx, NumBatch: batch}
	for _, rate := range rates {
		r.Samples = append(r.Samples, parse.Sample{
			PromptEvalCount:    1000,
			PromptEvalDuration: time.Duration(1000 / rate * float64(time.Second)),
		})
	}
	if len(rates) > 0 {
		median := verdict.Median(rates)
		r.PromptEvalRate = &median
	}
	cp.Results = append(cp.Results, r)
	return &cp.Results[len(cp.Results)-1]
}

// addFailed appends a failed cell.
func addFailed(cp *checkpoint.Checkpoint, ctx, batch int, class parse.Class) {
	add(cp, ctx, batch).Error = &class
}

// mixed is an incomplete sweep of 4 × 4 cells with a cell in every state. Its fastest
// cell is ctx=1024/batch=896 with 2000 tokens/s.
func mixed() *checkpoint.Checkpoint {
	cp := planned([]int{512, 1024, 1536, 2048}, []int{128, 384, 640, 896})
	cp.Sweep = checkpoint.Header{
		Model:         "nemotron_f",
		Digest:        "sha256:0a8c266910",
		Quantization:  "Q4_K_M",
		OllamaVersion: "0.10.1",
		GPU:           []string{"NVIDIA A", "NVIDIA B"},
		Driver:        "570.1",
		NumCtx:        cp.Sweep.NumCtx,
		NumBatch:      cp.Sweep.NumBatch,
		Started:       time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC),
	}
	add(cp, 512, 128, 1000)
	add(cp, 512, 384, 1250)
	add(cp, 1024, 128, 1000, 1250, 1600)
	add(cp, 1024, 384, 1600)
	add(cp, 1024, 640, 1600)
	full := add(cp, 1024, 896, 2000)
	full.Size, full.SizeVRAM = 18_500_000_000, 18_400_000_000
	full.Warmup = &parse.Sample{LoadDuration: 91_234_567_890}
	full.Samples[0].EvalCount, full.Samples[0].EvalDuration = 2, 44_345_678
	onCPU := add(cp, 1536, 128, 1000)
	onCPU.Size = 1_600_000 // so SizeVRAM of 0 is known, not missing
	addFailed(cp, 1536, 384, parse.OutOfGPUMemory)
	addFailed(cp, 1536, 640, parse.ResourceAllocation)
	addFailed(cp, 1536, 896, parse.OutOfGPUMemory)
	broken := add(cp, 2048, 128, 1000)
	class := parse.RunnerCrashed // after its first sample
	broken.PromptEvalRate, broken.Error = nil, &class
	add(cp, 2048, 384, 1250)
	return cp
}

// searched is a completed search for the fastest num_batch of every num_ctx. For 1536 it
// recommends a cell that it did not measure.
func searched() *checkpoint.Checkpoint {
	cp := planned([]int{512, 1024, 1536}, []int{128, 256, 384, 512})
	cp.Sweep.Strategy = config.StrategyFrontier
	add(cp, 512, 512, 1000)
	add(cp, 512, 128, 1250)
	add(cp, 1024, 256, 1600, 1562.5)
	add(cp, 1024, 512, 1600, 1600)
	addFailed(cp, 1536, 512, parse.OutOfGPUMemory)
	cp.Sweep.Search = &checkpoint.Answer{
		Best: cell.Key{Ctx: 1024, Batch: 256}, Rate: 1605.5, Low: 1580.2, High: 1631.9, Chance: 0.0312, Done: true,
		Why: "measuring another cell would gain 0.019 % per num_ctx on average",
		Columns: []checkpoint.ColumnAnswer{
			{NumCtx: 512, NumBatch: 128, Rate: 1250, Loss: 0.001}, {NumCtx: 1024, NumBatch: 256, Rate: 1605.5}, {NumCtx: 1536, NumBatch: 256, Rate: 1590, Loss: 0.02},
		},
	}
	return cp
}

// prunedSweep is an incomplete sweep with -prune.
func prunedSweep() *checkpoint.Checkpoint {
	cp := planned([]int{512, 1024, 1536}, []int{128, 256, 384})
	cp.Sweep.Prune = true
	add(cp, 512, 128, 1000)
	add(cp, 512, 256, 1250)
	addFailed(cp, 512, 384, parse.ResourceAllocation)
	add(cp, 1024, 128, 1000)
	addFailed(cp, 1024, 256, parse.OutOfGPUMemory)
	cp.Results[len(cp.Results)-1].Retries = 1
	return cp
}

var errFull = errors.New("no space left on device")

// fullDisk is a writer that fails after the given number of bytes.
type fullDisk int

func (d *fullDisk) Write(p []byte) (int, error) {
	if *d -= fullDisk(len(p)); *d < 0 {
		return 0, errFull
	}
	return len(p), nil
}
