// Package checkpoints makes checkpoints for tests of what is made of them.
package checkpoints

import (
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Planned returns a checkpoint of a plan without results.
func Planned(ctx, batch []int) *checkpoint.Checkpoint {
	return &checkpoint.Checkpoint{
		Version: checkpoint.Version,
		Sweep:   checkpoint.Header{Model: "tiny", NumCtx: ctx, NumBatch: batch},
	}
}

// Steps returns n values from start on.
func Steps(start, step, n int) []int {
	values := make([]int, n)
	for i := range values {
		values[i] = start + i*step
	}
	return values
}

// Add appends a cell with its samples' rates, which must divide 1000 tokens
// into whole nanoseconds to come out exactly.
func Add(cp *checkpoint.Checkpoint, ctx, batch int, rates ...float64) *checkpoint.Result {
	return AddCell(cp, cell.Key{Ctx: ctx, Batch: batch}, rates...)
}

// AddCell appends a cell of a sweep with any axes; see [Add].
func AddCell(cp *checkpoint.Checkpoint, c cell.Key, rates ...float64) *checkpoint.Result {
	r := checkpoint.NewResult(c)
	for _, rate := range rates {
		r.Samples = append(r.Samples, measurement.Sample{
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

// AddFailed appends a failed cell.
func AddFailed(cp *checkpoint.Checkpoint, ctx, batch int, class measurement.Class) {
	Add(cp, ctx, batch).Error = &class
}

// Mixed is a sweep of 4 × 4 in its middle, with a cell in every state: its
// fastest is ctx=1024/batch=896 with 2000 tokens/s.
func Mixed() *checkpoint.Checkpoint {
	cp := Planned([]int{512, 1024, 1536, 2048}, []int{128, 384, 640, 896})
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
	Add(cp, 512, 128, 1000)
	Add(cp, 512, 384, 1250)
	Add(cp, 1024, 128, 1000, 1250, 1600)
	Add(cp, 1024, 384, 1600)
	Add(cp, 1024, 640, 1600)
	full := Add(cp, 1024, 896, 2000)
	full.Size, full.SizeVRAM = 18_500_000_000, 18_400_000_000
	full.Warmup = &measurement.Sample{LoadDuration: 91_234_567_890}
	full.Samples[0].EvalCount, full.Samples[0].EvalDuration = 2, 44_345_678
	onCPU := Add(cp, 1536, 128, 1000)
	onCPU.Size = 1_600_000 // and nothing of it on a GPU, which is known
	AddFailed(cp, 1536, 384, measurement.OutOfGPUMemory)
	AddFailed(cp, 1536, 640, measurement.ResourceAllocation)
	AddFailed(cp, 1536, 896, measurement.OutOfGPUMemory)
	broken := Add(cp, 2048, 128, 1000)
	class := measurement.RunnerCrashed // after its first sample
	broken.PromptEvalRate, broken.Error = nil, &class
	Add(cp, 2048, 384, 1250)
	return cp
}

// Searched is a search for the fastest num_batch of every num_ctx that has come to
// its end: of 1536 it recommends a cell that it did not measure.
func Searched() *checkpoint.Checkpoint {
	cp := Planned([]int{512, 1024, 1536}, []int{128, 256, 384, 512})
	cp.Sweep.Strategy = config.StrategyFrontier
	Add(cp, 512, 512, 1000)
	Add(cp, 512, 128, 1250)
	Add(cp, 1024, 256, 1600, 1562.5)
	Add(cp, 1024, 512, 1600, 1600)
	AddFailed(cp, 1536, 512, measurement.OutOfGPUMemory)
	cp.Sweep.Search = &checkpoint.Answer{
		Best: cell.Key{Ctx: 1024, Batch: 256}, Rate: 1605.5, Low: 1580.2, High: 1631.9, Chance: 0.0312, Done: true,
		Why: "measuring another cell would gain 0.019 % per num_ctx on average",
		Columns: []checkpoint.ColumnAnswer{
			{NumCtx: 512, NumBatch: 128, Rate: 1250, Loss: 0.001}, {NumCtx: 1024, NumBatch: 256, Rate: 1605.5}, {NumCtx: 1536, NumBatch: 256, Rate: 1590, Loss: 0.02},
		},
	}
	return cp
}

// Pruned is a sweep with -prune in its middle.
func Pruned() *checkpoint.Checkpoint {
	cp := Planned([]int{512, 1024, 1536}, []int{128, 256, 384})
	cp.Sweep.Prune = true
	Add(cp, 512, 128, 1000)
	Add(cp, 512, 256, 1250)
	AddFailed(cp, 512, 384, measurement.ResourceAllocation)
	Add(cp, 1024, 128, 1000)
	AddFailed(cp, 1024, 256, measurement.OutOfGPUMemory)
	cp.Results[len(cp.Results)-1].Retries = 1
	return cp
}

// Decided is a sweep of six samples a cell with all that can be known of it.
func Decided() *checkpoint.Checkpoint {
	cp := Planned([]int{4096, 8192}, []int{128, 256, 512})
	start := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	cp.Sweep.Started = start
	cp.Sweep.Warnings = []string{"other models: GPU 0 is busy before the sweep starts (87 %, 70000 MiB in use)"}
	for i, c := range cp.Plan() {
		base := 1000.0
		if c.Batch == 256 {
			base = 1250
		}
		r := Add(cp, c.Ctx, c.Batch, base, base+1, base+2, base-1, base-2, base)
		r.Timestamp = start.Add(time.Duration(i) * time.Hour)
		r.Settings = checkpoint.SettingsVerified
		r.Size, r.SizeVRAM = 18_000_000_000, 18_000_000_000
	}
	spilled := &cp.Results[5]
	spilled.SizeVRAM = 9_000_000_000
	spilled.Retries = 1
	spilled.Warnings = []string{"spill: 9.0 of 18.0 GB of the model are in GPU memory", "memory given back: loaded at try 2"}
	cp.Results[4].Warnings = []string{"spill: 17.0 of 18.0 GB of the model are in GPU memory"}
	again := func(purpose checkpoint.Purpose, batch int, at time.Duration, rate float64) {
		one := Planned(nil, nil)
		r := Add(one, 8192, batch, rate)
		r.Timestamp = start.Add(at)
		cp.Auxiliary = append(cp.Auxiliary, checkpoint.Auxiliary{Purpose: purpose, Result: *r})
	}
	for i := range 6 {
		noise := float64(i%3) - 1
		again(checkpoint.Confirm, 256, 7*time.Hour, 1250+noise)
		again(checkpoint.Confirm, 128, 7*time.Hour, 1000+noise)
		again(checkpoint.Baseline, 256, 8*time.Hour, 1250+noise)
		again(checkpoint.Baseline, 0, 8*time.Hour, 1100+noise)
		again(checkpoint.Reference, 128, time.Duration(i)*time.Hour, 1000-20*float64(i)+noise)
	}
	return cp
}

// Settings is a sweep over num_gpu and flash_attention too, in order of the plan, with a cell that failed,
// one that has spilled and one that is missing. Flash attention gains 12.5 %, num_gpu=auto 25 % over 20,
// and num_batch nothing.
func Settings() *checkpoint.Checkpoint {
	cp := Planned([]int{2048, 8192}, []int{256, 512})
	cp.Version = checkpoint.VersionAxes
	cp.Sweep.GPU, cp.Sweep.OllamaVersion = []string{"NVIDIA A"}, "0.10.1"
	cp.Sweep.Axes = []cell.SettingAxis{{Name: "num_gpu", Values: []string{"auto", "20"}}, {Name: "flash_attention", Values: []string{"on", "off"}}}
	cp.Sweep.Fixed = map[string]string{"num_thread": "8", "use_mmap": "auto", "kv_cache_type": "q8_0", "OLLAMA_NEW_ENGINE": "a b"}
	plan := cp.Plan()
	for i, c := range plan[:len(plan)-1] {
		rate := 1600.0
		if v, _ := c.Value("num_gpu"); v == "20" {
			rate /= 1.25
		}
		if v, _ := c.Value("flash_attention"); v == "off" {
			rate /= 1.125
		}
		r := AddCell(cp, c, rate, rate*(1+0.001*float64(i%3)), rate*(1-0.001*float64(i%4)))
		r.Size, r.SizeVRAM = 18_000_000_000, 18_000_000_000
	}
	class := measurement.OutOfGPUMemory
	failed := &cp.Results[12]
	*failed = checkpoint.NewResult(failed.Cell())
	failed.Error = &class
	cp.Results[6].SizeVRAM = 9_000_000_000
	return cp
}

// ManySettings is a sweep over sixteen combinations of settings, more than a picture has panels for.
func ManySettings() *checkpoint.Checkpoint {
	cp := Planned([]int{2048, 8192}, []int{512, 1024})
	cp.Version = checkpoint.VersionAxes
	cp.Sweep.Axes = []cell.SettingAxis{{Name: "num_gpu", Values: []string{"auto", "40", "30", "20"}}, {Name: "num_thread", Values: []string{"auto", "4", "8", "16"}}}
	for _, c := range cp.Plan() {
		gpu, _ := c.Value("num_gpu")
		rate := map[string]float64{"auto": 2000, "40": 2000, "30": 1600, "20": 1250}[gpu]
		if thread, _ := c.Value("num_thread"); thread == "4" {
			rate *= 0.8
		}
		if c.Ctx == 8192 {
			rate *= 0.8
		}
		AddCell(cp, c, rate*0.999, rate, rate*1.001)
	}
	return cp
}

// Hostile is a checkpoint all of whose texts would like to be HTML.
func Hostile() *checkpoint.Checkpoint {
	const text = `</script><img src=x onerror=alert(1)>`
	cp := Planned([]int{512, 1024}, []int{128, 256})
	cp.Sweep.Model, cp.Sweep.GPU, cp.Sweep.Warnings = text, []string{text}, []string{text}
	Add(cp, 512, 128, 1000).Warnings = []string{text}
	AddFailed(cp, 512, 256, measurement.Class(text))
	cp.Results[1].Detail = text
	return cp
}
