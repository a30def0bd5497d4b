package check

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

const second = time.Second

// sound returns evidence that passes all checks: 3,684 tokens read in 13 seconds by a
// real server.
func sound() Evidence {
	return Evidence{
		Version: "0.13.3", GPU: true, NumCtx: 8192, NumBatch: 512, NumPredict: 2, TrainedCtx: 131072, PromptTokens: 3684,
		Loaded: measurement.Loaded{
			Warmup:        measurement.Sample{PromptEvalCount: 100, PromptEvalDuration: 500 * time.Millisecond, EvalCount: 2, EvalDuration: 11827633, LoadDuration: 8 * second, TotalDuration: 8600 * time.Millisecond, Wall: 8601 * time.Millisecond},
			ContextLength: 8192, Size: 18e9, SizeVRAM: 18e9,
		},
		Sample: measurement.Sample{
			PromptEvalCount: 3684, PromptEvalDuration: 12963530257, EvalCount: 2, EvalDuration: 11827633,
			LoadDuration: 25883899, TotalDuration: 13003567238, Wall: 13005 * time.Millisecond,
		},
		Ceiling: Ceiling(512, nil, AcceptedRate{Rate: 200, Batch: 100}),
	}
}

func TestSoundEvidence(t *testing.T) {
	e := sound()
	assert.Empty(t, Plan(&e))
	assert.Empty(t, Load(&e))
	assert.Empty(t, Sample(&e))
	assert.Empty(t, Sample(&Evidence{Sample: measurement.Sample{PromptEvalCount: 5, PromptEvalDuration: second}}), "unknown figures give no findings")
	assert.Empty(t, Load(&Evidence{NumCtx: 8192, NumBatch: 512}))
}

// TestTraps has measurements that look right and are wrong.
func TestTraps(t *testing.T) {
	for _, test := range []struct {
		name  string
		stage func(*Evidence) []Finding
		trap  func(*Evidence)
		check string
		class measurement.Class
		again bool
		want  string
	}{
		{"out of the cache, as reported by a real server: above all that the warm-up allows", Sample, func(e *Evidence) {
			e.Sample.PromptEvalDuration, e.Sample.EvalCount = 14281514, 0
			e.Sample.Wall, e.Sample.TotalDuration = 60*time.Millisecond, 55*time.Millisecond
			e.Loaded.Warmup.EvalCount = 0
			e.Ceiling = Ceiling(512, nil, AcceptedRate{Rate: 200, Batch: 512})
		}, "prompt cache", measurement.NoFigures, true, "3684 tokens in 14.3ms are 257956 tokens/s, but 20000 is the most that earlier prompts allow: the prompt came out of a cache"},
		{"faster than its generated tokens allow", Sample, func(e *Evidence) {
			e.NumBatch, e.Ceiling = 128, 0
			e.Sample.PromptEvalDuration, e.Sample.Wall, e.Sample.TotalDuration = 14281514, 60*time.Millisecond, 55*time.Millisecond
		}, "prompt cache", measurement.NoFigures, true, "is the least that the time of a generated token allows"},
		{"longer than the request", Sample, func(e *Evidence) { e.Sample.Wall = 5 * second }, "prompt cache", measurement.NoFigures, true, "3684 tokens in 13s are 284 tokens/s, but the whole request took 5s by the wall clock, which is 7.96s less"},
		{"only the last batch timed", Sample, func(e *Evidence) { e.Sample.PromptEvalDuration = 300 * time.Millisecond; e.Sample.TotalDuration = 0 }, "prompt cache", measurement.NoFigures, true, "the request took 13s by the wall clock, of which load and generation are 37.7ms: the prompt was not evaluated whole, or only its last batch was timed"},
		{"waited for another client's", func(e *Evidence) []Finding { return Sample(e)[:1] }, func(e *Evidence) {
			e.Sample.PromptEvalDuration, e.Sample.OtherClient = 300*time.Millisecond, true
		}, "prompt cache", "", true, "it may have waited for another client's, or not all of the prompt was evaluated"},
		{"only the last batch timed, as reported by 0.12.6", Sample, func(e *Evidence) { // ollama/ollama#12742
			e.CLI, e.NumCtx, e.PromptTokens = true, 65536, 32768
			e.Sample = measurement.Sample{PromptEvalCount: 32768, PromptEvalDuration: 235137439, EvalCount: 1873, EvalDuration: 18173182374, LoadDuration: 4970546570, TotalDuration: 31273112939, Wall: 31400 * time.Millisecond}
			e.Ceiling, e.Loaded.Warmup.LoadDuration = 0, 0
		}, "prompt cache", measurement.NoFigures, true, "the server's own total is 31.3s, of which load and generation are 23.1s"},
		{"the server's own total contradicts", Sample, func(e *Evidence) { e.CLI = true; e.Sample.PromptEvalDuration = 300 * time.Millisecond }, "prompt cache", measurement.NoFigures, true, "the server's own total is 13s, of which"},
		{"only the last batch timed, over a slow network", Sample, func(e *Evidence) {
			e.Version = "0.12.6"
			e.Sample.PromptEvalDuration, e.Sample.TotalDuration, e.Sample.Wall, e.Sample.NetworkTime = 300*time.Millisecond, 345*time.Millisecond, second, 90*time.Millisecond
		}, "prompt cache", measurement.NoFigures, true, "the request took 1s by the wall clock and 345ms by the server's: the rest is the way to the server (90ms for a request of that size that needs no model), or unknown"},
		{"out of the cache, and reported", Sample, func(e *Evidence) { cached := 3000; e.Sample.PromptCached, e.Head = &cached, 90 }, "prompt cache", measurement.NoFigures, true, "684 tokens in 13s are 53 tokens/s, but 3000 of the prompt's 3684 tokens came out of the server's cache, and no more than 90 can"},
		{"another clock", Sample, func(e *Evidence) { e.Sample.Wall = second; e.Loaded.Warmup.Wall = second / 2 }, "prompt cache", "", false, "its clock can't be checked"},
		{"more generated than allowed", Sample, func(e *Evidence) { e.Sample.EvalCount = 3 }, "impossible figures", measurement.NoFigures, true, "3 tokens were generated, and num_predict allows 2"},
		{"more generated than allowed, in the warm-up", Load, func(e *Evidence) { e.Loaded.Warmup.EvalCount = 1 << 60 }, "impossible figures", measurement.NoFigures, false, "1152921504606846976 tokens were generated, and num_predict allows 2"},
		{"a total beyond the wall clock", Sample, func(e *Evidence) { e.Sample.TotalDuration = 14 * second }, "impossible figures", measurement.NoFigures, true, "the server reports that the request took 14s, but it took 13s by the wall clock"},
		{"a load beyond the wall clock", Sample, func(e *Evidence) { e.Sample.LoadDuration, e.Sample.TotalDuration = second, 0 }, "impossible figures", measurement.NoFigures, true, "took 14s, but it took 13s by the wall clock"},
		{"parts that are more than the whole", Sample, func(e *Evidence) { e.Sample.EvalDuration += 20 * time.Millisecond }, "impossible figures", measurement.NoFigures, true, "load (25.9ms), prompt (13s) and generation (31.8ms) took 13s, and the whole request 13s by the same clock"},
		{"the longest generation", Sample, func(e *Evidence) { e.Sample.EvalDuration, e.Sample.TotalDuration = 1<<63-1, 0 }, "impossible figures", measurement.NoFigures, true, "the server reports that the request took 2562047h47m16.854775807s, but it took 13s by the wall clock"},
		{"a load of the warm-up beyond the wall clock", Load, func(e *Evidence) { e.Loaded.Warmup.LoadDuration, e.Loaded.Warmup.TotalDuration = 9*second, 0 }, "impossible figures", measurement.NoFigures, false, "took 9.51s, but it took 8.6s by the wall clock"},
		{"a system prompt before every prompt", Plan, func(e *Evidence) { e.CLI, e.System = true, 900 }, "prompt cache", "", false, "the model's system prompt (900 bytes) precedes every prompt"},
		{"cut to num_ctx", Sample, func(e *Evidence) { e.NumCtx, e.Sample.PromptEvalCount = 1024, 1024 }, "truncation", measurement.PromptTruncated, false, "the prompt has 3684 tokens and num_ctx=1024 holds no more than 1024 of them: the server read 1024"},
		{"cut to half", Sample, func(e *Evidence) { e.NumCtx, e.Sample.PromptEvalCount = 3600, 1802 }, "truncation", measurement.PromptTruncated, false, "the server read 1802"},
		{"cut by one", Sample, func(e *Evidence) { e.Sample.PromptEvalCount = 3683 }, "truncation", measurement.PromptTruncated, false, "the server read 3683 of the prompt's 3684 tokens"},
		{"cut, of an estimate", Sample, func(e *Evidence) { e.Estimated = true; e.Sample.PromptEvalCount = 3400 }, "truncation", measurement.PromptTruncated, false, "the server read 3400 of the prompt's 3684 tokens"},
		{"cut, of an unknown length", Sample, func(e *Evidence) { e.PromptTokens, e.NumCtx = 0, 3684 }, "truncation", measurement.PromptTruncated, false, "the server read 3684 tokens at num_ctx=3684, which is exactly what it keeps of a longer prompt"},
		{"the same, to half", Sample, func(e *Evidence) { e.PromptTokens, e.NumCtx = 0, 7364 }, "truncation", measurement.PromptTruncated, false, "the server read 3684 tokens at num_ctx=7364"},
		{"more than before", Sample, func(e *Evidence) { e.Sample.PromptEvalCount = 3700 }, "truncation", measurement.NoFigures, false, "counts 3700 tokens in a prompt in which it counted 3684 before"},
		{"clamped", Load, func(e *Evidence) { e.Loaded.ContextLength = 4096 }, "effective num_ctx", measurement.ContextClamped, false, "requested num_ctx=8192, effective is 4096 (/api/ps)"},
		{"clamped by the log", Load, func(e *Evidence) { e.Loaded.Effective.NumCtx = 4096 }, "effective num_ctx", measurement.ContextClamped, false, "effective is 4096 (the server's log)"},
		{"clamped and not shown", Load, func(e *Evidence) { e.Version, e.TrainedCtx = "0.10.1", 4096 }, "effective num_ctx", measurement.ContextClamped, false, "requested num_ctx=8192, but the model was trained for 4096"},
		{"batch above the prompt", Plan, func(e *Evidence) { e.NumBatch = 4096 }, "effective num_batch", "", false, "num_batch is above the prompt's 3684 tokens"},
		{"batch that the version ignores", Plan, func(e *Evidence) { e.Version, e.NumBatch = "0.13.2", 1024 }, "effective num_batch", "", false, "Ollama 0.13.2 on the llama.cpp runner takes no more than 512 tokens in a pass"},
		{"effective batch, by the log", Load, func(e *Evidence) { e.NumBatch, e.Loaded.Effective.NumBatch = 1024, 512 }, "effective num_batch", "", false, "requested num_batch=1024, effective is 512 (the server's log)"},
		{"effective settings, by the log", Load, func(e *Evidence) { e.Asked, e.Loaded.Effective.NumThread = "num_thread=8", 4 }, "effective settings", "", false, "requested num_thread=8, effective is num_thread=4 (the server's log)"},
		{"spill", Load, func(e *Evidence) { e.Loaded.SizeVRAM = 9e9 }, "spill", "", false, "9.0 of 18.0 GB of the model are in GPU memory"},
		{"spill that may not be requested", Load, func(e *Evidence) { e.Loaded.SizeVRAM, e.Asked = 9e9, "num_gpu=99" }, "spill", "", false, "9.0 of 18.0 GB"},
		{"spill of all", Load, func(e *Evidence) { e.Loaded.SizeVRAM = 0 }, "spill", "", false, "0.0 of 18.0 GB"},
		{"another model", Load, func(e *Evidence) { e.Loaded.Others = []string{"llama3:8b"} }, "other models", "", false, "also loaded: llama3:8b; requests to it"},
		{"other models after a sample", Sample, func(e *Evidence) { e.Sample.Others = []string{"llama3:8b", "x"} }, "other models", "", false, "also loaded: llama3:8b, x"},
		{"another model in spite of -exclusive", Sample, func(e *Evidence) { e.Exclusive, e.Sample.Others = true, []string{"x"} }, "other models", "", true, "loaded again in spite of -exclusive: x"},
		{"reloaded during a sample", Sample, func(e *Evidence) {
			e.Sample.LoadDuration, e.Sample.TotalDuration, e.Sample.Wall = 7*second, 20*second, 20*second
		}, "warm-up", "", true, "the model was loaded again for a sample (7s, at first 8s)"},
		{"reloaded between two samples", Sample, func(e *Evidence) { e.Sample.Reloaded = true }, "warm-up", "", true, "the model was loaded again for a sample"},
		{"used by another client", Sample, func(e *Evidence) { e.Sample.OtherClient = true }, "other models", "", false, "another client used the model too"},
		{"used by another client in spite of -exclusive", Sample, func(e *Evidence) { e.Exclusive, e.Sample.OtherClient = true, true }, "other models", "", true, "another client used the model too"},
		{"second try", Load, func(e *Evidence) { e.Retries = 1 }, "memory given back", "", false, "loaded at try 2"},
		{"hot", Sample, func(e *Evidence) {
			e.Sample.GPU = []measurement.GPU{{Index: 0, TemperatureC: 60}, {Index: 1, TemperatureC: 91, PowerW: 349.6, SMClockMHz: 1200, Throttle: []string{"HW thermal slowdown"}}}
		}, "thermal and power", "", false, "GPU 1 was throttled (HW thermal slowdown) at 91 °C, 350 W, SM clock down to 1200 MHz"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := sound()
			test.trap(&e)
			found := test.stage(&e)
			require.Len(t, found, 1, "%v", found)
			assert.Equal(t, test.check, found[0].Check)
			assert.Equal(t, test.class, found[0].Class)
			assert.Equal(t, test.again, found[0].Again)
			assert.Contains(t, found[0].Text, test.want)
			assert.Contains(t, found[0].String(), test.check+": ")
		})
	}
}

// TestAnotherClock: also with a clock that differs from ours, figures must not contradict each other.
func TestAnotherClock(t *testing.T) {
	e := sound()
	e.Loaded.Warmup.Wall = 1
	e.Sample.LoadDuration = second
	found := Sample(&e)
	require.Len(t, found, 2, "%v", found)
	assert.Contains(t, found[0].Text, "its clock can't be checked")
	assert.Equal(t, "impossible figures", found[1].Check)
	assert.True(t, found[1].Again)
}

func TestRound(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999: "999ns", 14281514: "14.3ms", 840495273: "840ms", 999_999_999: "1s", -5: "-5ns",
		12963530257: "13s", 59 * second: "59s", 61*second + 5e8: "1m2s", 3*time.Hour + 1: "3h0m0s",
	} {
		assert.Equal(t, want, round(d).String())
	}
}

// TestNoTrap has measurements that look wrong and are right.
func TestNoTrap(t *testing.T) {
	for _, test := range []struct {
		name  string
		stage func(*Evidence) []Finding
		alter func(*Evidence)
	}{
		{"a model on the CPU of a machine without GPU", Load, func(e *Evidence) { e.GPU = false; e.Loaded.SizeVRAM = 0 }},
		{"a model of more context on a newer server", Load, func(e *Evidence) { e.Version, e.TrainedCtx = "0.15.5", 4096 }},
		{"clocks that are rounded differently", Sample, func(e *Evidence) {
			e.Sample.EvalDuration += 3*time.Millisecond - 300*time.Microsecond
			e.Sample.Wall = e.Sample.TotalDuration
		}},
		{"fewer generated than allowed", Sample, func(e *Evidence) { e.Sample.EvalCount = 1 }},
		{"a server whose /api/ps has no context length", Load, func(e *Evidence) { e.Loaded.ContextLength = 0 }},
		{"padding in the log", Load, func(e *Evidence) { e.Loaded.Effective.NumCtx = 8448 }},
		{"a batch at the limit", Plan, func(e *Evidence) { e.Version = "0.10.1" }},
		{"a large batch on a newer server", Plan, func(e *Evidence) { e.NumBatch = 2048 }},
		{"a version that ignores it, with a log", Plan, func(e *Evidence) {
			e.Version, e.NumBatch, e.Log, e.Loaded = "0.13.2", 2048, true, measurement.Loaded{}
		}},
		{"a large batch on an older server", Plan, func(e *Evidence) { e.Version, e.NumBatch = "0.5.6", 2048 }},
		{"a server from a working tree", Plan, func(e *Evidence) { e.Version, e.NumBatch = "0.0.0", 2048 }},
		{"an estimate that was a little high", Sample, func(e *Evidence) { e.Estimated = true; e.Sample.PromptEvalCount = 3600 }},
		{"a slow command", Sample, func(e *Evidence) { e.CLI = true; e.Sample.Wall += 900 * time.Millisecond }},
		{"the template's head out of the cache", Sample, func(e *Evidence) { cached := 25; e.Sample.PromptCached, e.Head = &cached, 90 }},
		{"a server that saves an old prompt first", Sample, func(e *Evidence) {
			e.Version = "0.32.5"
			e.Sample.PromptEvalDuration, e.Sample.TotalDuration, e.Sample.Wall, e.NumBatch = 400*time.Millisecond, 2*second, 2*second, 2048
			e.Ceiling = 0
		}},
		{"the same, of an unknown version", Sample, func(e *Evidence) {
			cached := 25
			e.Version, e.Head, e.Sample.PromptCached = "0.0.0", 90, &cached
			e.Sample.PromptEvalDuration, e.Sample.TotalDuration, e.Sample.Wall, e.NumBatch = 400*time.Millisecond, 2*second, 2*second, 2048
			e.Ceiling = 0
		}},
		{"a short prompt over a slow network", Sample, func(e *Evidence) {
			e.Version = "0.12.6"
			e.Sample.PromptEvalDuration, e.Sample.TotalDuration, e.Sample.Wall, e.Sample.NetworkTime = 300*time.Millisecond, 345*time.Millisecond, second, 800*time.Millisecond
		}},
		{"a system prompt that is known to be cached", Plan, func(e *Evidence) {
			cached := 300
			e.CLI, e.System, e.Loaded.Warmup.PromptCached = true, 900, &cached
		}},
		{"a short prompt on a busy machine", Sample, func(e *Evidence) {
			e.Sample = measurement.Sample{PromptEvalCount: 3684, PromptEvalDuration: 20 * time.Millisecond, TotalDuration: 30 * time.Millisecond, Wall: 44 * time.Millisecond}
			e.Loaded.Warmup.EvalCount, e.Ceiling = 0, 0
		}},
		{"a fast GPU", Sample, func(e *Evidence) { // 8B on a large one: 25,000 and 150 tokens/s
			e.NumBatch = 2048
			e.Sample = measurement.Sample{PromptEvalCount: 3684, PromptEvalDuration: 147 * time.Millisecond, EvalCount: 2, EvalDuration: 13 * time.Millisecond, TotalDuration: 165 * time.Millisecond, Wall: 166 * time.Millisecond}
			e.Ceiling = Ceiling(2048, nil, AcceptedRate{Rate: 1000, Batch: 128})
		}},
		{"small passes on five GPUs at once", Sample, func(e *Evidence) {
			e.NumBatch = 32
			e.Sample.PromptEvalDuration = 116 * 6 * time.Millisecond / 5 // one pass of 116 is as a generated token, and five are under way
			e.Sample.Wall, e.Sample.TotalDuration = e.Sample.PromptEvalDuration+40*time.Millisecond, 0
		}},
		{"idle GPU", Sample, func(e *Evidence) { e.Sample.GPU = []measurement.GPU{{TemperatureC: 90}} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := sound()
			test.alter(&e)
			assert.Empty(t, test.stage(&e))
		})
	}
}

func TestCeiling(t *testing.T) {
	assert.Zero(t, Ceiling(512, nil, AcceptedRate{}))
	assert.Equal(t, 20000.0, Ceiling(512, nil, AcceptedRate{Rate: 200, Batch: 512}))
	assert.Equal(t, 80000.0, Ceiling(512, nil, AcceptedRate{Rate: 200, Batch: 128}), "four times as many tokens in a pass")
	assert.Equal(t, 20000.0, Ceiling(64, []AcceptedRate{{Rate: 3000, Batch: 512}}, AcceptedRate{Rate: 200, Batch: 64}), "the warm-up is of the same load")
	assert.Equal(t, 60000.0, Ceiling(64, []AcceptedRate{{Rate: 3000, Batch: 512}, {Rate: 10, Batch: 64}}, AcceptedRate{Rate: 2000, Batch: 64}), "a slow cell does not lower the ceiling of others")
	assert.Equal(t, 60000.0, Ceiling(512, []AcceptedRate{{Rate: 3000, Batch: 512}, {Rate: 2900, Batch: 8}}, AcceptedRate{}), "nor does one with a small num_batch")
	assert.Equal(t, 240000.0, Ceiling(512, []AcceptedRate{{Rate: 3000, Batch: 128}}, AcceptedRate{}))
}

func TestDriftNamesFigures(t *testing.T) {
	assert.Contains(t, Drift(-0.042, 0.008, 6).String(), "drift: the reference cell, measured 6 times, changed by -4.2 % over the sweep, where noise is ±0.8 %")
}

// TestReworded: warnings of earlier releases compare with those of this one.
// TestKind: a report shows figures of one cell for all, but not the settings that one cell was to have.
func TestKind(t *testing.T) {
	assert.Equal(t, "spill", Kind("spill: 9.0 of 18.0 GB"))
	assert.NotEqual(t, Kind("effective settings: requested num_gpu=40"), Kind("effective settings: requested num_gpu=30"))
}

func TestReworded(t *testing.T) {
	assert.Equal(t, "effective num_batch: num_batch is above the prompt's 522 tokens", Reworded("num_batch in force: num_batch is above the prompt's 522 tokens"))
	assert.Equal(t, "spill: 9.0 of 18.0 GB", Reworded("spill: 9.0 of 18.0 GB"))
}

// TestEveryCheckIsDocumented: docs/method.md has a line for each.
func TestEveryCheckIsDocumented(t *testing.T) {
	method, err := os.ReadFile(filepath.Join("..", "..", "docs", "method.md"))
	require.NoError(t, err)
	seen := make(map[string]bool)
	for _, c := range Table {
		assert.False(t, seen[c.Name])
		seen[c.Name] = true
		assert.True(t, strings.Contains(string(method), "| **"+c.Name+"** |"), c.Name)
	}
	assert.Len(t, Table, 14)
}

// TestRequestedSpill: a part of the model on the CPU is no spill where num_gpu requested it.
func TestRequestedSpill(t *testing.T) {
	e := Evidence{Asked: "num_gpu=20", Loaded: measurement.Loaded{Size: 18e9, SizeVRAM: 9e9}}
	e.Loaded.Effective.NumGPU = new(20)
	assert.Empty(t, spill(&e))
	e.Loaded.Effective.NumGPU = new(19)
	assert.NotEmpty(t, spill(&e))
}
