package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

func TestEffectText(t *testing.T) {
	over := func(other string, ratio, low, high float64) sweep.ValueGain {
		return sweep.ValueGain{Other: other, Gain: verdict.Gain{Ratio: ratio, Low: low, High: high, Bounded: true}}
	}
	depends := over("256", -0.32, -0.5, -0.09)
	depends.Here = &verdict.Gain{Ratio: 0.17, Low: -0.1, High: 0.5}
	cancels := over("1", -0.1, -0.27, 0.11)
	cancels.Here = &verdict.Gain{Ratio: 0.6, Low: 0.48, High: 0.73, Bounded: true}
	less := over("1", 0.67, 0.48, 0.88)
	less.Here = &verdict.Gain{Ratio: 0.1, Low: 0.05, High: 0.15, Bounded: true}
	alike := over("1", 0.67, 0.48, 0.88)
	alike.Here = &verdict.Gain{Ratio: 0.5, Low: 0.3, High: 0.7, Bounded: true}
	turns := &verdict.Gain{Ratio: 0.13, Low: 0.11, High: 0.17, Bounded: true}
	baseline := sweep.ValueGain{Other: "512", Gain: *turns, Here: turns, InTurns: true}
	alone := over("512", 0.02, -0.1, 0.15)
	alone.Here, alone.InTurns = turns, true
	larger := over("512", 0.25, 0.2, 0.3)
	larger.Here, larger.InTurns = turns, true
	for want, e := range map[string]sweep.Effect{
		"num_batch=192: +13 % (95 % 11 to 17) over the server's own 512, measured in turns":                                                                           {Axis: "num_batch", Value: "192", Own: "512", Over: []sweep.ValueGain{baseline}},
		"num_batch=192: +13 % (95 % 11 to 17) over the server's own 512, measured in turns, no difference from 64 within 2.0 %":                                       {Axis: "num_batch", Value: "192", Own: "512", Over: []sweep.ValueGain{alone, over("64", 0, -0.01, 0.02)}},
		"num_batch=192: +25 % (95 % 20 to 30) over the server's own 512 on average, but +13 % (95 % 11 to 17) with the other recommended settings, measured in turns": {Axis: "num_batch", Value: "192", Own: "512", Over: []sweep.ValueGain{larger}},
		"num_thread=2: +60 % (95 % 48 to 73) over 1 with the other recommended settings, though no difference was found on average":                                   {Axis: "num_thread", Value: "2", Over: []sweep.ValueGain{cancels}},
		"num_thread=2: +67 % (95 % 48 to 88) over 1 on average, but +10 % (95 % 5 to 15) with the other recommended settings":                                         {Axis: "num_thread", Value: "2", Over: []sweep.ValueGain{less}},
		"num_thread=2: +67 % (95 % 48 to 88) over 1": {Axis: "num_thread", Value: "2", Over: []sweep.ValueGain{alike}},
		"num_batch=64: -32 % (95 % -50 to -9) against 256 on average, but +17 % (95 % -10 to 50) with the other recommended settings": {Axis: "num_batch", Value: "64", Over: []sweep.ValueGain{depends}},
		"num_thread=1: +496 % (95 % 286 to 820) over 2, no difference from auto was found, but one below 61 % would not show":         {Axis: "num_thread", Value: "1", Over: []sweep.ValueGain{over("2", 4.96, 2.86, 8.2), over("auto", 0.1, -0.3, 0.601)}},
		"flash_attention=off: +121 % (95 % 112 to 130) over on":                                                                       {Axis: "flash_attention", Value: "off", Over: []sweep.ValueGain{over("on", 1.21, 1.12, 1.30)}},
		"kv_cache_type: no difference within 2.0 %":                                                                                   {Axis: "kv_cache_type", Value: "f16", Over: []sweep.ValueGain{over("q8_0", 0.005, -0.01, 0.02)}},
		"num_thread: can't tell yet: differences below 9 % would not show":                                                            {Axis: "num_thread", Value: "4", Over: []sweep.ValueGain{over("8", 0.01, -0.09, 0.02)}},
		"num_batch=2048: +6.0 % (95 % 4.0 to 8.0) over the server's own 1024":                                                         {Axis: "num_batch", Value: "2048", Own: "1024", Over: []sweep.ValueGain{over("1024", 0.06, 0.04, 0.08)}},
		"num_gpu=40: -2.0 % (95 % -3.0 to -1.0) against 30":                                                                           {Axis: "num_gpu", Value: "40", Over: []sweep.ValueGain{over("30", -0.02, -0.03, -0.01)}},
		"num_gpu=40: +25 % (95 % 24 to 26) over 20; 1 cell fails with 20; 3 cells fail with auto": {
			Axis: "num_gpu", Value: "40", Over: []sweep.ValueGain{over("20", 0.25, 0.24, 0.26)}, Failing: []sweep.ValueFailures{{Other: "20", Cells: 1}, {Other: "auto", Cells: 3}},
		},
		"flash_attention=on: +50 % (95 % 20 to 90) over off, as the search estimates": {
			Axis: "flash_attention", Value: "on", Over: []sweep.ValueGain{{Other: "off", Gain: verdict.Gain{Ratio: 0.5, Low: 0.2, High: 0.9, Bounded: true}, Estimated: true}},
		},
		"num_gpu: no cells to compare with that differ in nothing else": {Axis: "num_gpu", Value: "40"},
		"num_thread=4: +5.0 % (95 % 4.0 to 6.0) over auto, +50 % (95 % 40 to 60) over 1, +20 % (95 % 15 to 25) over 2, and 1 more value, no difference from 8 within 1.0 %": {
			Axis: "num_thread", Value: "4", Own: cell.Auto,
			Over: []sweep.ValueGain{over("1", 0.5, 0.4, 0.6), over("2", 0.2, 0.15, 0.25), over("16", 0.1, 0.05, 0.15), over("auto", 0.05, 0.04, 0.06), over("8", 0, -0.01, 0.01)},
		},
	} {
		assert.Equal(t, want, effectText(e))
	}
}

// TestEffectOfABaseline: what a baseline measured is the gain over the server's own num_batch, also where no cell
// has that one.
func TestEffectOfABaseline(t *testing.T) {
	for _, own := range []int{512, 64, 256} {
		cp := checkpoints.Settings()
		best := cp.Results[0].Cell()
		for i := range cp.Results {
			if r := &cp.Results[i]; r.NumBatch == 512 && !r.Failed() {
				for j := range r.Samples {
					r.Samples[j].PromptEvalDuration = r.Samples[j].PromptEvalDuration * 11 / 10
				}
				r.SetRate()
			}
		}
		for round := range 6 {
			for _, batch := range []int{best.Batch, 0} {
				rate := 1600 + float64(round)
				if batch == 0 {
					rate /= 1.3
				}
				one := checkpoints.Planned(nil, nil)
				r := checkpoints.AddCell(one, best.WithBatch(batch), rate)
				r.Effective.NumBatch = cmp.Or(batch, own)
				cp.Auxiliary = append(cp.Auxiliary, checkpoint.Auxiliary{Purpose: checkpoint.Baseline, Result: *r})
			}
		}
		var text strings.Builder
		require.NoError(t, Print(&text, cp, Options{}))
		if own == best.Batch {
			assert.NotContains(t, text.String(), "the server's own")
			continue
		}
		gain := fmt.Sprintf("+30 %% (95 %% 30 to 30) over the server's own %d", own)
		assert.Contains(t, text.String(), "Advice: set num_batch=256: "+gain+", measured in turns\n")
		for line := range strings.Lines(text.String()) {
			if strings.HasPrefix(line, "  num_batch=256: ") {
				assert.Contains(t, line, map[int]string{512: " over the server's own 512", 64: gain + ", measured in turns"}[own])
			}
		}
		assert.Contains(t, text.String(), "  num_batch=256: ")
	}
}

// TestSettingsOfTwoAxes checks that a sweep of num_ctx and num_batch says nothing of effects.
func TestSettingsOfTwoAxes(t *testing.T) {
	assert.Empty(t, newGrid(checkpoints.Decided()).advice().effects)
}

// TestOneBatch checks the advice of a sweep whose cells differ in num_ctx and other settings alone.
func TestOneBatch(t *testing.T) {
	cp := checkpoints.Planned([]int{2048, 4096}, []int{256})
	cp.Sweep.Axes = []cell.SettingAxis{{Name: "num_thread", Values: []string{"2", "4"}}, {Name: "flash_attention", Values: []string{"on", "off"}}}
	for _, c := range cp.Plan() {
		rate := 1000.0
		if thread, _ := c.Value("num_thread"); thread == "4" {
			rate = 1250
		}
		checkpoints.AddCell(cp, c, rate, rate+1, rate-1)
	}
	var text strings.Builder
	require.NoError(t, Print(&text, cp, Options{}))
	golden := `
Settings that matter, the largest effect first:
  num_thread=4: +25 % (95 % 24 to 26) over 2
  flash_attention: no difference within 0.6 %
Advice: set num_batch=256, the only one that has a rate
`
	assert.Contains(t, text.String(), golden)
	assert.Contains(t, text.String(), "           num_ctx\nnum_thread   2048    4096\n", "a setting takes the place of num_batch")
	text.Reset()
	require.NoError(t, advisedOf((*advice).writeOptions)(&text, cp))
	assert.Equal(t, `{"num_ctx":4096,"num_batch":256,"num_thread":4}`+"\n", text.String())
}

// TestOneBatchOfAColumn: after a search the recommended num_batch may be the only one that was measured with
// the other recommended settings. That none of them is faster says nothing.
func TestOneBatchOfAColumn(t *testing.T) {
	of := func(best int) *advice {
		cp := checkpoints.Planned([]int{2048}, []int{256, 512})
		cp.Version, cp.Sweep.Command, cp.Sweep.OllamaVersion = checkpoint.VersionAxes, "-config my.yaml", "0.10.1"
		cp.Sweep.Axes = []cell.SettingAxis{{Name: "num_thread", Values: []string{"2", "4"}}}
		checkpoints.AddCell(cp, cell.Key{Ctx: 2048, Batch: best, Settings: cell.Combinations(cp.Sweep.Axes)[1]}, 1250, 1251, 1249)
		for _, batch := range []int{256, 512} {
			checkpoints.AddCell(cp, cell.Key{Ctx: 2048, Batch: batch, Settings: cell.Combinations(cp.Sweep.Axes)[0]}, 1000, 1001, 999)
		}
		for i := range cp.Results {
			cp.Results[i].Warmup = &measurement.Sample{Wall: time.Second}
			for j := range cp.Results[i].Samples {
				cp.Results[i].Samples[j].Wall = time.Second
			}
		}
		cp.Sweep.Search = &checkpoint.Answer{Best: cp.Results[0].Cell(), Done: true}
		return newGrid(cp).advice()
	}
	a := of(256)
	assert.Equal(t, "set num_batch=256, the only one that has a rate with num_ctx=2048, num_thread=4", a.batchText())
	require.NotNil(t, a.Next)
	assert.Equal(t, []string{"-baseline"}, a.Next.Flags)
	a = of(512)
	assert.Equal(t, "leave num_batch to the server: its own 512 is the only one that has a rate with num_ctx=2048, num_thread=4", a.batchText())
	assert.Nil(t, a.Next)
}

// TestSettingsResistInjection checks that settings from a checkpoint can't add lines to files, nor settings that
// no config can have.
func TestSettingsResistInjection(t *testing.T) {
	cp := checkpoints.Decided()
	cp.Sweep.Fixed = map[string]string{
		"num_gpu": "1\nPARAMETER top_k 1", "flash_attention": "on\nOLLAMA_HOST=x", "no such": "1", "HOME": "/", "OLLAMA_NEW_ENGINE": "$(id)", "main_gpu": "1",
		"OLLAMA_X": "a\nb", "ollama": "a\nOLLAMA_HOST=x",
	}
	for _, write := range []func(io.Writer, *checkpoint.Checkpoint) error{writeModelfile, writeEnvironment} {
		var b strings.Builder
		require.NoError(t, write(&b, cp))
		for line := range strings.Lines(b.String()) {
			assert.Regexp(t, `^(# .*|FROM tiny|PARAMETER num_ctx 8192|PARAMETER num_batch 256|PARAMETER main_gpu 1|OLLAMA_CONTEXT_LENGTH=8192|OLLAMA_NEW_ENGINE='\$\(id\)')?\n$`, line)
		}
	}
}
