package checkpoint

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sample returns a sample of one prompt of 1000 tokens at the rate.
func sample(tokensPerSec float64) measurement.Sample {
	return measurement.Sample{
		PromptEvalCount:    1000,
		PromptEvalDuration: time.Duration(1000 / tokensPerSec * float64(time.Second)),
		EvalCount:          2,
		EvalDuration:       20 * time.Millisecond,
		LoadDuration:       3 * time.Millisecond,
		TotalDuration:      time.Second,
	}
}

// probe returns a probe of that size in the middle of 1000 tokens, whose request costs 0.1 s besides.
func probe(size int, seconds float64) measurement.Probe {
	cost := 100 * time.Millisecond
	return measurement.Probe{NumBatch: size, Depth: (1000 - size) / 2, Tokens: size, Duration: time.Duration(seconds * float64(time.Second)), RequestCost: &cost, Verified: true, Timestamp: noon}
}

// wholeCheckpoint returns a checkpoint with one result of each kind.
func wholeCheckpoint() *Checkpoint {
	oom := measurement.OutOfGPUMemory
	crashed := measurement.RunnerCrashed
	cp := &Checkpoint{
		Version: Version,
		Sweep: Header{
			Model: "nemotron_f", Digest: "abc", Quantization: "Q4_K_M", PromptSHA256: "def", Prompt: "{tokens: 400}", NumPredict: 2, Runner: "api",
			OllamaVersion: "0.10.1", GPU: []string{"A", "B"}, Driver: "550", NumCtx: []int{4096, 8192}, NumBatch: []int{128, 512}, Started: noon,
		},
		Results: []Result{
			{NumCtx: 4096, NumBatch: 128, Timestamp: noon, Samples: []measurement.Sample{sample(100), sample(300), sample(200)},
				Probes: []measurement.Probe{probe(64, 0.5), probe(16, 0.3), {NumBatch: 8, Depth: 496, Tokens: 8, Timestamp: noon}, probe(64, 0.4)},
				Warmup: &measurement.Sample{PromptEvalCount: 50, PromptEvalDuration: time.Second, LoadDuration: 90 * time.Second}, ContextLength: 4096, Size: 10, SizeVRAM: 8,
				Memory: &measurement.Memory{Devices: []measurement.DeviceMemory{{Name: "CUDA0", ModelMiB: 1.88, ContextMiB: 2, ComputeMiB: 0.66}, {Name: measurement.Host, ComputeMiB: 0.01}}, GPULayers: 3, Layers: 3}},
			{NumCtx: 4096, NumBatch: 512, Timestamp: noon, Error: &oom, Detail: "cudaMalloc failed: out of memory"},
			{NumCtx: 8192, NumBatch: 128, Timestamp: noon, Error: &crashed, Samples: []measurement.Sample{sample(100)}},
		},
	}
	for i := range cp.Results {
		cp.Results[i].SetRate()
	}
	return cp
}

func TestCheckpointRoundTrip(t *testing.T) {
	cp := wholeCheckpoint()
	require.NotNil(t, cp.Results[0].PromptEvalRate)
	assert.InDelta(t, 200, *cp.Results[0].PromptEvalRate, 1e-6, "the median of the samples")
	assert.Nil(t, cp.Results[2].PromptEvalRate, "a failed cell has no rate, whatever its samples")

	var buf bytes.Buffer
	require.NoError(t, cp.Encode(&buf))
	got, err := Decode(buf.Bytes())
	require.NoError(t, err)
	assert.Equal(t, cp, got)
	for _, line := range strings.Split(buf.String(), "\n") {
		if strings.Contains(line, "num_batch\":") && strings.HasPrefix(line, "    {") {
			assert.Contains(t, line, `"error":`, "each result is one line")
		}
	}
	assert.Contains(t, buf.String(), `"prompt_eval_rate":null`)
	assert.Contains(t, buf.String(), `"error":null`)
	assert.Equal(t, 1, strings.Count(buf.String(), `"memory":`), "what is not known is left out")
	assert.Equal(t, 1, strings.Count(buf.String(), `"probes":`), "what is not known is left out")
	assert.NotContains(t, buf.String(), `"unprobeable"`)
}

// TestProbeRates: probes are grouped by size. One without a rate is left out.
func TestProbeRates(t *testing.T) {
	cp := wholeCheckpoint()
	m := cp.Results[0].Measured()
	require.Len(t, m.Probes, 2)
	assert.Equal(t, 16, m.Probes[0].NumBatch)
	assert.InDeltaSlice(t, []float64{16 / 0.2}, m.Probes[0].Rates, 1e-6)
	assert.Equal(t, 64, m.Probes[1].NumBatch)
	assert.InDeltaSlice(t, []float64{64 / 0.4, 64 / 0.3}, m.Probes[1].Rates, 1e-6)
	assert.Len(t, m.Rates, 3, "a probe is not a sample")
	assert.Empty(t, cp.Results[2].Measured().Probes)
}

func TestCheckpointPlanAndAxes(t *testing.T) {
	cp := wholeCheckpoint()
	cp.Results = append(cp.Results, Result{NumCtx: 2048, NumBatch: 64})
	ctx, batch := cp.Axes()
	assert.Equal(t, []int{4096, 8192}, ctx, "the plan, without what was measured for another grid")
	assert.Equal(t, []int{128, 512}, batch)
	assert.Equal(t, []cell.Key{{Ctx: 2048, Batch: 64}}, cp.OffGrid())
	assert.Equal(t, []cell.Key{{Ctx: 4096, Batch: 128}, {Ctx: 4096, Batch: 512}, {Ctx: 8192, Batch: 128}, {Ctx: 8192, Batch: 512}}, cp.Plan(), "the plan")
	assert.Nil(t, cp.Result(cell.Key{Ctx: 1, Batch: 1}))
	assert.Equal(t, 64, cp.Result(cell.Key{Ctx: 2048, Batch: 64}).NumBatch)

	older := &Checkpoint{Results: cp.Results}
	assert.Len(t, older.Plan(), 9, "without a header, the grid of the results")
}

func TestHeaderDiffers(t *testing.T) {
	h := wholeCheckpoint().Sweep
	other := h
	other.NumCtx, other.Started, other.Quantization = nil, time.Now(), "?"
	assert.Empty(t, h.Differs(other), "the grid may grow")
	for name, change := range map[string]func(*Header){
		"model":            func(h *Header) { h.Model = "x" },
		"digest":           func(h *Header) { h.Digest = "x" },
		"modelfile_sha256": func(h *Header) { h.ModelfileSHA256 = "x" },
		"prompt":           func(h *Header) { h.PromptSHA256, h.Prompt = "x", "" },
		"num_predict":      func(h *Header) { h.NumPredict = 9 },
		"runner":           func(h *Header) { h.Runner = "x" },
		"ollama_version":   func(h *Header) { h.OllamaVersion = "x" },
		"gpu":              func(h *Header) { h.GPU = []string{"A"} },
		"driver":           func(h *Header) { h.Driver = "x" },
		"shard":            func(h *Header) { h.Shard = cell.Shard{Index: 1, Count: 2} },
	} {
		other := h
		change(&other)
		assert.Contains(t, h.Differs(other), name+" is ")
	}

	// The lines of a server's log may be lost before it is read.
	known, others := h, h
	known.Devices, others.Devices = []string{"A (driver 12.3)"}, []string{parse.CPU}
	assert.Empty(t, known.Differs(h))
	assert.Empty(t, h.Differs(known))
	assert.Contains(t, known.Differs(others), `devices is "A (driver 12.3)" there and "cpu" here`)
}

// TestHeaderDiffersInWords: of fields whose identity is a hash, the message shows the different
// text, where both headers have it.
func TestHeaderDiffersInWords(t *testing.T) {
	prompt := func(text, hash string) Header { return Header{Prompt: text, PromptSHA256: hash} }
	template := func(text, hash string) Header { return Header{Modelfile: text, ModelfileSHA256: hash} }
	const long = "0123456789abcdef"
	for _, test := range []struct {
		name        string
		there, here Header
		want        string
	}{
		{"size", prompt("{tokens: 400}", "a"), prompt("{tokens: 500}", "b"), "prompt is {tokens: 400} there and {tokens: 500} here"},
		{"part", prompt("{fill: 0.9}", "a"), prompt("{tokens: 500}", "b"), "prompt is {fill: 0.9} there and {tokens: 500} here"},
		{"file", prompt("long.txt", "a"), prompt("{tokens: 500}", "b"), `prompt is "long.txt" there and {tokens: 500} here`},
		{"edited file", prompt("long.txt", "a"+long), prompt("long.txt", "b"+long), `prompt is "long.txt" (sha256 a0123456789a) there and "long.txt" (sha256 b0123456789a) here`},
		{"no words there", prompt("", "a"+long), prompt("{tokens: 500}", "b"+long), "prompt is sha256 a0123456789a there and {tokens: 500} (sha256 b0123456789a) here"},
		{"no prompt there", prompt("", ""), prompt("{tokens: 500}", "b"), "prompt is none there and {tokens: 500} (sha256 b) here"},
		{"hostile", prompt("\x1b[2J", "a"), prompt("{tokens: 5}\nx", "b"), `prompt is "\x1b[2J" there and {tokens: 5} here`},
		{"template", template("FROM m\nPARAMETER top_k 5\n", "a"), template("FROM m\nPARAMETER top_k 6\n", "b"), `modelfile is "PARAMETER top_k 5" there and "PARAMETER top_k 6" here`},
		{"longer template", template("FROM m\n", "a"), template("FROM m\nSYSTEM be brief\n", "b"), `modelfile is no line there and "SYSTEM be brief" here`},
		{"no template there", template("", ""), template("FROM m\n", "b"), "modelfile is none there and sha256 b here"},
	} {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.there.Differs(test.here)) })
	}
}

func TestHeaderGPUs(t *testing.T) {
	assert.Empty(t, Header{}.GPUs())
	assert.Empty(t, Header{Devices: []string{parse.CPU}}.GPUs())
	assert.Equal(t, []string{"A (driver 12.3)", "A (driver 12.3)"}, Header{Devices: []string{"A (driver 12.3)", "A (driver 12.3)"}}.GPUs())
	assert.Equal(t, []string{"A"}, Header{GPU: []string{"A"}, Devices: []string{"A (driver 12.3)"}}.GPUs())
}

func TestDecodeRefuses(t *testing.T) {
	keyed := func(key string) string {
		return `{"version": 2, "sweep": {"axes": [{"name": "num_gpu", "values": ["1", "2"]}]}, "results": [{"num_ctx": 8, "num_batch": 8, "prompt_eval_rate": 1, "key": ` + key + `}]}`
	}
	const start = "{\n\"version\": 1,\n\"sweep\": {},\n\"results\": [\n"
	probed := func(probe string) string {
		return start + `{"num_ctx": 64, "num_batch": 8, "prompt_eval_rate": 1, "probes": [{` + probe + `}]}]}`
	}
	for _, test := range []struct{ name, text, want string }{
		{"empty", " \n", "the file is empty"},
		{"cut short", start + "{", "line 5: the file ends in the middle of a value"},
		{"not JSON", "{\n\"version\": x}", "line 2: invalid character 'x'"},
		{"a second value", start + "]}\n{}", "line 6: invalid character '{' after top-level value"},
		{"not a checkpoint", `{"a": 1}`, `no "version"`},
		{"a list", `[]`, "line 1: the file must be an object"},
		{"future version", `{"version": 3}`, "version 3 is not supported, only versions 1 and 2"},
		{"version of axes without axes", `{"version": 2}`, "sweep: version 2 with 0 axes besides num_ctx and num_batch"},
		{"axes in the version without", `{"version": 1, "sweep": {"axes": [{"name": "num_gpu", "values": ["1"]}]}}`, "sweep: version 1 with 1 axes"},
		{"another key", keyed(`{"num_ctx": 8, "num_batch": 4, "num_gpu": 1}`), "num_ctx and num_batch are not those of the key, ctx=8/batch=4/num_gpu=1"},
		{"key of other axes", keyed(`{"num_ctx": 8, "num_batch": 8, "num_thread": 1}`), "result 1 (ctx=8/batch=8/num_thread=1): its key does not have the axes of the sweep"},
		{"key of more axes", keyed(`{"num_ctx": 8, "num_batch": 8, "num_gpu": 1, "num_thread": 1}`), "its key does not have the axes of the sweep"},
		{"no key", keyed(`null`), "result 1 (ctx=8/batch=8): its key does not have the axes of the sweep"},
		{"key without num_batch", keyed(`{"num_ctx": 8, "num_gpu": 1}`), "no num_batch"},
		{"key twice", keyed(`{"num_ctx": 8, "num_batch": 8, "num_gpu": 1, "num_gpu": 2}`), `duplicate key "num_gpu"`},
		{"unknown purpose", `{"version": 1, "results": [], "remeasured": [{"purpose": "fun", "num_ctx": 1, "num_batch": 1}]}`, `remeasured 1 (ctx=1/batch=1): unknown purpose "fun"`},
		{"load of no host", `{"version": 1, "results": [], "remeasured": [{"purpose": "host", "num_ctx": 1, "num_batch": 1}]}`, "remeasured 1 (ctx=1/batch=1): no host"},
		{"wrong type", start + `{"num_ctx": "x"}]}`, "line 5: results/0/num_ctx must be a whole number"},
		{"negative cell", start + `{"num_ctx": -1, "num_batch": 1, "prompt_eval_rate": 1}]}`, "result 1 (ctx=-1/batch=1): num_ctx and num_batch must be positive"},
		{"twice", start + `{"num_ctx": 1, "num_batch": 1, "prompt_eval_rate": 1}, {"num_ctx": 1, "num_batch": 1, "error": "x"}]}`, "result 2 (ctx=1/batch=1): duplicate cell"},
		{"nothing known", start + `{"num_ctx": 1, "num_batch": 1}]}`, "neither prompt_eval_rate nor error"},
		{"both known", start + `{"num_ctx": 1, "num_batch": 1, "prompt_eval_rate": 1, "error": "x"}]}`, "both prompt_eval_rate and error"},
		{"zero rate", start + `{"num_ctx": 1, "num_batch": 1, "prompt_eval_rate": 0}]}`, "prompt_eval_rate 0 is not a positive number"},
		{"sample without figures", start + `{"num_ctx": 1, "num_batch": 1, "prompt_eval_rate": 1, "samples": [{}]}]}`, "a sample without prompt_eval_count"},
		{"first prompt without figures", start + `{"num_ctx": 1, "num_batch": 1, "prompt_eval_rate": 1, "first_prompts": [{}]}]}`, "a sample without prompt_eval_count"},
		{"unknown key of a probe", probed(`"num_batch": 8, "tokens": 8, "rate": 5`), `line 5: unknown key "rate"`},
		{"probe without a size", probed(`"tokens": 8`), "a probe with num_batch 0, which is not between 1 and the cell's"},
		{"probe above num_batch", probed(`"num_batch": 9, "tokens": 8`), "a probe with num_batch 9"},
		{"probe of too many tokens", probed(`"num_batch": 8, "tokens": 9`), "a probe of 9 tokens with num_batch 8"},
		{"probe of no tokens", probed(`"num_batch": 8`), "a probe of 0 tokens"},
		{"probe above num_ctx", probed(`"num_batch": 8, "tokens": 8, "depth": 57`), "a probe of 8 tokens after 57, which do not fit num_ctx"},
		{"probe of a negative depth", probed(`"num_batch": 8, "tokens": 8, "depth": -1`), "a probe of 8 tokens after -1"},
		{"probe of a negative duration", probed(`"num_batch": 8, "tokens": 8, "duration_ns": -1`), "a probe with a negative duration"},
		{"probe of a negative cost", probed(`"num_batch": 8, "tokens": 8, "duration_ns": 1, "request_cost_ns": -1`), "a probe with a negative duration"},
		{"older tool's bad time", `{"metadata": {}, "results": [{"num_ctx": 1, "num_batch": 1, "prompt_eval_rate": 1, "timestamp": "yesterday"}]}`, `timestamp "yesterday" is not ISO 8601`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode([]byte(test.text))
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestDecodeOlderTool(t *testing.T) {
	cp, err := Decode([]byte(`{"metadata": {"model": "nemotron_f"}, "results": [
		{"num_ctx": 8192, "num_batch": 32, "prompt_eval_rate": 78.8, "timestamp": "2025-06-01T12:00:00.123456"},
		{"num_ctx": 8192, "num_batch": 160, "prompt_eval_rate": null, "error": "CUDA OOM", "timestamp": "2025-06-01T12:02:00"},
		{"num_ctx": 8192, "num_batch": 288, "prompt_eval_rate": null, "error": "Timeout"},
		{"num_ctx": 8192, "num_batch": 416, "prompt_eval_rate": null, "error": "Failed to create model"},
		{"num_ctx": 8192, "num_batch": 544, "prompt_eval_rate": -1},
		{"num_ctx": 8192, "num_batch": 544, "prompt_eval_rate": 80.5}]}`))
	require.NoError(t, err)
	assert.True(t, cp.OlderTool)
	assert.Equal(t, "nemotron_f", cp.Sweep.Model)
	require.Len(t, cp.Results, 5, "a cell measured again counts once")
	assert.Equal(t, 78.8, *cp.Results[0].PromptEvalRate)
	assert.Equal(t, 123456000, cp.Results[0].Timestamp.Nanosecond())
	for i, want := range map[int]measurement.Class{1: measurement.OutOfGPUMemory, 2: measurement.Timeout, 3: measurement.ModelError} {
		assert.Equal(t, want, *cp.Results[i].Error)
	}
	assert.Equal(t, "Failed to create model", cp.Results[3].Detail)
	assert.Equal(t, 80.5, *cp.Results[4].PromptEvalRate)
}

func TestLoadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir)
	assert.ErrorContains(t, err, dir)
	file := filepath.Join(dir, FileName)
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o644))
	_, err = Load(file)
	assert.ErrorContains(t, err, file)
}

func FuzzDecode(f *testing.F) {
	var buf bytes.Buffer
	if err := wholeCheckpoint().Encode(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add([]byte(`{"metadata": {"model": "m"}, "results": [{"num_ctx": 8192, "num_batch": 32, "prompt_eval_rate": 78.8, "timestamp": "2025-06-01T12:00:00.123456"}]}`))
	f.Add([]byte(`{"version": 1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		cp, err := Decode(data)
		if err != nil {
			return
		}
		for _, r := range cp.Results {
			if r.PromptEvalRate != nil && (math.IsNaN(*r.PromptEvalRate) || *r.PromptEvalRate <= 0) {
				t.Fatalf("rate %v", *r.PromptEvalRate)
			}
		}
		// A checkpoint that was read can be written, and is the same when it is read again.
		var buf bytes.Buffer
		if err := cp.Encode(&buf); err != nil {
			t.Fatal(err)
		}
		again, err := Decode(buf.Bytes())
		if err != nil {
			t.Fatalf("%v in\n%s", err, buf.String())
		}
		var twice bytes.Buffer
		if err := again.Encode(&twice); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(buf.Bytes(), twice.Bytes()) {
			t.Fatalf("%s\nbecame\n%s", buf.String(), twice.String())
		}
	})
}
