package report

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// ownPage writes the page without scripts and styles, which are the same on every page.
func ownPage(w io.Writer, cp *checkpoint.Checkpoint) error {
	var b strings.Builder
	if err := WritePage(&b, cp); err != nil {
		return err
	}
	text := b.String()
	for _, part := range []string{echartsScript, pageScript, pageStyle} {
		text = strings.Replace(text, part, "…", 1)
	}
	// One cell per line.
	_, err := io.WriteString(w, strings.ReplaceAll(text, `{"x":`, "\n"+`{"x":`))
	return err
}

func TestPage(t *testing.T) {
	goldens(t, ".html", ownPage)
	disk := fullDisk(1000)
	assert.ErrorIs(t, WritePage(&disk, checkpoints.Decided()), errFull)
}

// TestPageIsNoProgram: what stands in a checkpoint stays text.
func TestPageIsNoProgram(t *testing.T) {
	var b strings.Builder
	require.NoError(t, ownPage(&b, checkpoints.Hostile()))
	assert.NotContains(t, strings.ReplaceAll(b.String(), "</script>\n", ""), "</script>")
	assert.NotContains(t, b.String(), "<img")
	assert.Contains(t, b.String(), "&lt;img src=x onerror=alert(1)&gt;")
}

func TestEnvironment(t *testing.T) {
	of := func(h checkpoint.Header) (texts []string) {
		for _, v := range newGrid(&checkpoint.Checkpoint{Sweep: h}).environment() {
			texts = append(texts, v.Name+": "+v.Value)
		}
		return texts
	}
	assert.Equal(t, []string{"Model: m", "Device: cpu"}, of(checkpoint.Header{Model: "m", Devices: []string{parse.CPU}}))
	assert.Equal(t, []string{"Server's settings: OLLAMA_KV_CACHE_TYPE=q8_0"}, of(checkpoint.Header{Settings: map[string]string{"OLLAMA_KV_CACHE_TYPE": "q8_0"}}))
	assert.Equal(t, []string{"Strategy: best", "Not probed because: the server keeps no prompts"}, of(checkpoint.Header{Strategy: "best", Unprobeable: "the server keeps no prompts"}))
	assert.Equal(t, []string{"GPU: A (driver 12.3), A (driver 12.3)"}, of(checkpoint.Header{Devices: []string{"A (driver 12.3)", "A (driver 12.3)"}}))
	assert.Equal(t, []string{"GPU: A", "Driver: 550", "Merged: 2 checkpoints"},
		of(checkpoint.Header{GPU: []string{"A"}, Driver: "550", Devices: []string{"A (driver 12.3)"}, Merged: make([]checkpoint.Source, 2)}))
}

func TestCellText(t *testing.T) {
	cp := checkpoints.Decided()
	cp.Sweep.GPU = []string{"NVIDIA A"}
	r := cp.Result(cell.Key{Ctx: 8192, Batch: 256})
	r.Warmup = &measurement.Sample{LoadDuration: 91_234_567_890, Unfinished: 1}
	four := 4
	r.Samples[0].PromptCached, r.Samples[0].PromptEvaluated, r.Samples[1].Unfinished = &four, r.Samples[0].PromptEvalCount, 2
	r.Size, r.SizeVRAM, r.Settings, r.Retries = 20_000_000_000, 18_000_000_000, checkpoint.SettingsVerified, 1
	r.Memory = &measurement.Memory{GPULayers: 29, Layers: 33, Devices: []measurement.DeviceMemory{{Name: "CUDA0", ModelMiB: 15000, ContextMiB: 2048, ComputeMiB: 300}, {Name: measurement.Host, ModelMiB: 1900}}}
	r.Timestamp = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	r.Warnings = []string{"spill: 18.0 of 20.0 GB"}
	cost := 100 * time.Microsecond
	for _, took := range []time.Duration{20_100, 25_100} {
		r.Probes = append(r.Probes, measurement.Probe{NumBatch: 32, Depth: 484, Tokens: 32, Duration: took * time.Microsecond, RequestCost: &cost})
	}
	r.Probes = append(r.Probes, measurement.Probe{NumBatch: 16, Depth: 492, Tokens: 16, Duration: 12_600 * time.Microsecond, RequestCost: &cost})
	last := &r.Samples[len(r.Samples)-1]
	last.EvalCount, last.EvalDuration = 2, 50*time.Millisecond
	last.GPU = []measurement.GPU{{Index: 1, TemperatureC: 65, SMClockMHz: 1980, PowerW: 312.4, MemoryMiB: 70123, Utilization: 98, Throttle: []string{"SW power cap"}}}
	last.Others = []string{"other:7b"}
	assert.Equal(t, []string{
		"num_ctx=8192, num_batch=256: best, recommended",
		"prompt: 1250.0 tokens/s (95 % interval 1248.00 to 1252.00, 6 samples)",
		"samples: 1250.0, 1251.0, 1252.0, 1249.0, 1248.0, 1250.0 tokens/s",
		"prompt length: 1000 tokens, 4 of them from the server's cache",
		"passes of 16 tokens: 1280.0 tokens/s (probe)",
		"passes of 32 tokens: 1600.0, 1280.0 tokens/s (probes)",
		"generation: 40.0 tokens/s",
		"load: 91.2 s",
		"memory: 20 GB, 18 GB of it on GPUs",
		"memory of CUDA0: model 16 GB, context 2.1 GB, compute 315 MB",
		"memory of Host: model 2.0 GB, context 0 B, compute 0 B",
		"layers on GPUs: 29 of 33",
		"settings: verified",
		"GPU 1: 65 °C, 1980 MHz, 312 W, 70123 MiB used, 98 % busy, throttled by SW power cap",
		"other models in memory: other:7b",
		"failed attempts: 1",
		"answers without figures, each repeated with another prompt: 3",
		"measured: 2026-02-03 04:05:06",
		"measured again, in turns with other cells: 1249.0, 1250.0, 1251.0, 1249.0, 1250.0, 1251.0 tokens/s, median 1250.0",
		"a part of the model was not in GPU memory",
		"warning: spill: 18.0 of 20.0 GB",
	}, newGrid(cp).cellText(r.Cell(), "best, recommended"))
}

func TestCellTextOfManySamples(t *testing.T) {
	rates := make([]float64, 30)
	for i := range rates {
		rates[i] = 1000
	}
	assert.Equal(t, strings.Repeat("1000.0, ", 11)+"1000.0 and 18 more tokens/s", ratesText(rates))
}

// TestPageGrows checks that the page of an incomplete sweep is marked as growing.
func TestPageGrows(t *testing.T) {
	going := checkpoints.Searched()
	going.Sweep.Search.Done = false
	for name, tt := range map[string]struct {
		cp   *checkpoint.Checkpoint
		want bool
	}{"complete": {checkpoints.Decided(), false}, "incomplete": {checkpoints.Mixed(), true}, "running search": {going, true}, "ended search": {checkpoints.Searched(), false}} {
		t.Run(name, func(t *testing.T) {
			g := newGrid(tt.cp)
			data := g.pageData(g.stats(), g.verdicts())
			assert.Equal(t, tt.want, data.Grows)
			text, err := json.Marshal(data)
			require.NoError(t, err)
			assert.Len(t, data.Cells, len(data.Ctx)*len(data.Batch))
			assert.NotContains(t, string(text), "NaN")
		})
	}
}

// TestCodeOfACommand checks that a command stays one code element, also with backquotes in
// its arguments.
func TestCodeOfACommand(t *testing.T) {
	for text, want := range map[string]string{
		"a: `go test -out='`id`'` b":         "a: <code>go test -out=&#39;`id`&#39;</code> b",
		"`-out='it'\\''s `'`, `-repeat 6` b": "<code>-out=&#39;it&#39;\\&#39;&#39;s `&#39;</code>, <code>-repeat 6</code> b",
		"a <b>":                              "a &lt;b&gt;",
		"a `b":                               "a <code>b</code>",
	} {
		assert.EqualValues(t, want, code(text), text)
	}
}
