package sweep

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

func TestRunTriesOnceMoreWhenMemoryIsShort(t *testing.T) {
	for _, class := range []measurement.Class{measurement.OutOfGPUMemory, measurement.ResourceAllocation, measurement.OutOfSystemMemory, measurement.RunnerCrashed} {
		f := newFixture(t, t.TempDir())
		f.fake.loadErrs[cell.Key{Ctx: 1000, Batch: 200}] = []error{&measurement.Failure{Class: class, Detail: "no more"}}
		f.fake.loadErrs[cell.Key{Ctx: 2000, Batch: 100}] = []error{&measurement.Failure{Class: class}, &measurement.Failure{Class: class, Detail: "no more"}}
		summary, _ := f.run(t.Context())
		require.NoError(t, summary.Usable())
		assert.Equal(t, 2, f.fake.settled, "it waits for the memory")
		once, _ := f.Store.Result(cell.Key{Ctx: 1000, Batch: 200})
		assert.Equal(t, 1, once.Retries)
		assert.False(t, once.Failed())
		assert.Contains(t, strings.Join(once.Warnings, "|"), "memory given back: loaded at try 2")
		twice, _ := f.Store.Result(cell.Key{Ctx: 2000, Batch: 100})
		assert.Equal(t, class, *twice.Error)
		assert.Equal(t, 1, twice.Retries)
		assert.Contains(t, f.log.String(), "# ctx=1000/batch=200: "+string(class)+": no more: waiting for the memory to be given back, then trying once more\n")
	}
	f := newFixture(t, t.TempDir())
	f.fake.loadErrs[cell.Key{Ctx: 1000, Batch: 200}] = []error{&measurement.Failure{Class: measurement.ModelError, Detail: "no"}}
	f.run(t.Context())
	assert.Zero(t, f.fake.settled, "a second try would be no use")
	assert.Len(t, f.fake.loads, 4)
}

// TestRunRefusesSamples: a sample is taken again where the reason may pass; after
// several in a row the cell fails.
func TestRunRefusesSamples(t *testing.T) {
	f := newFixture(t, t.TempDir())
	wrong := 2
	f.fake.alterSample = func(s *measurement.Sample) {
		if s.Wall = s.TotalDuration + time.Millisecond; wrong > 0 {
			wrong--
			s.PromptEvalDuration = time.Microsecond
		}
	}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Zero(t, summary.Failed)
	assert.Equal(t, 2, strings.Count(f.log.String(), "# ctx=1000/batch=100: a sample does not count: prompt cache: 522 tokens in 1µs are"))
	assert.Len(t, f.bench, 4)

	f = newFixture(t, t.TempDir())
	f.fake.alterSample = func(s *measurement.Sample) { s.PromptEvalDuration = time.Microsecond }
	summary, outcomes := f.run(t.Context())
	assert.Equal(t, 4, summary.Failed)
	assert.Contains(t, outcomes[0].Skip, "Parse error: prompt cache: 522 tokens in 1µs are 522000000 tokens/s")
	assert.Len(t, f.fake.samples, 4*refusals)
	assert.Empty(t, f.bench)
}

func TestRunChecksEveryCell(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.fake.alterSample = func(s *measurement.Sample) {
		if f.fake.cell.Ctx == 2000 {
			s.PromptEvalCount = 500
		}
	}
	f.run(t.Context())
	r, _ := f.Store.Result(cell.Key{Ctx: 2000, Batch: 100})
	assert.Equal(t, measurement.PromptTruncated, *r.Error)
	assert.Equal(t, "truncation: the server read 500 of the prompt's 522 tokens at num_ctx=2000; use a shorter prompt, a larger num_ctx, or {fill: 0.9}, which is sized for each num_ctx", r.Detail)

	f = newFixture(t, t.TempDir())
	f.fake.alterLoaded = func(l *measurement.Loaded) { l.ContextLength = 1000 }
	f.run(t.Context())
	r, _ = f.Store.Result(cell.Key{Ctx: 2000, Batch: 100})
	assert.Equal(t, measurement.ContextClamped, *r.Error)
	assert.Contains(t, r.Detail, "requested num_ctx=2000, effective is 1000")
	assert.Len(t, f.fake.samples, 2, "the cell gets no prompt")

	f = newFixture(t, t.TempDir())
	f.fake.alterLoaded = func(l *measurement.Loaded) {
		l.SizeVRAM, l.Others = 3, []string{"llama3:8b"}
		l.Effective = measurement.Effective{NumCtx: l.ContextLength, NumBatch: 100, Parallel: 1}
		l.Memory = &measurement.Memory{GPULayers: 20, Layers: 33}
	}
	f.run(t.Context())
	r, _ = f.Store.Result(cell.Key{Ctx: 2000, Batch: 200})
	assert.False(t, r.Failed(), "a warning fails nothing")
	require.Len(t, r.Warnings, 3)
	for i, want := range []string{"effective num_batch: requested num_batch=200, effective is 100", "spill: ", "other models: also loaded: llama3:8b"} {
		assert.Contains(t, r.Warnings[i], want)
	}
	assert.Equal(t, checkpoint.SettingsVerified, r.Settings)
	assert.Equal(t, 100, r.Effective.NumBatch)
	assert.Equal(t, &measurement.Memory{GPULayers: 20, Layers: 33}, r.Memory)
	assert.Contains(t, f.log.String(), "# warning: ctx=2000/batch=200: spill: ")
}

// TestRunWaitsForOtherClients: while another client uses the server the sweep waits, each time longer,
// and then continues, or stops where the client does not end.
func TestRunWaitsForOtherClients(t *testing.T) {
	begin := func(quietAfter int) (f *fixture, pauses *[]time.Duration) {
		f, pauses = newFixture(t, t.TempDir()), new([]time.Duration)
		f.Evidence.Exclusive = true
		f.fake.alterSample = func(s *measurement.Sample) {
			if len(*pauses) < quietAfter {
				s.Others = []string{"llama3:8b"}
			}
		}
		f.Sleep = func(ctx context.Context, pause time.Duration) error {
			*pauses = append(*pauses, pause)
			return ctx.Err()
		}
		return f, pauses
	}
	f, pauses := begin(2)
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, 4, summary.Measured)
	require.Len(t, *pauses, 2)
	for i, pause := range *pauses {
		assert.InDelta(t, float64(firstPause<<i), float64(pause), float64(firstPause<<i)/2)
	}
	assert.Contains(t, f.log.String(), "# ctx=1000/batch=100: other models: loaded again in spite of -exclusive: llama3:8b; stop what uses it: waiting for ")

	f, pauses = begin(100)
	summary, outcomes := f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "other models: loaded again in spite of -exclusive: llama3:8b; stop what uses it")
	assert.Len(t, outcomes, 1)
	assert.Len(t, *pauses, mostPauses)
	_, known := f.Store.Result(cell.Key{Ctx: 1000, Batch: 100})
	assert.False(t, known, "it is no cell's failure")

	f, pauses = begin(100)
	ctx, interrupt := context.WithCancel(t.Context())
	sleep := f.Sleep
	f.Sleep = func(ctx context.Context, pause time.Duration) error {
		interrupt()
		return sleep(ctx, pause)
	}
	summary, _ = f.run(ctx)
	assert.ErrorIs(t, summary.Usable(), ErrInterrupted)
	assert.Len(t, *pauses, 1)
}

// TestRunLearnsThePromptOnce: the checkpoint keeps the sizing and the count of tokens.
func TestRunLearnsThePromptOnce(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir)
	f.Prompter.SetSizing(checkpoint.Sizing{})
	f.Plan = f.Plan[:2]
	_, _ = f.run(t.Context())
	sized := len(f.fake.prompts) - 2
	assert.GreaterOrEqual(t, sized, 3)
	assert.Equal(t, 522, f.Store.Checkpoint().Sweep.Sizing.FileTokens)

	f = newFixture(t, dir)
	f.Prompter.SetSizing(checkpoint.Sizing{})
	_, _ = f.run(t.Context())
	assert.Len(t, f.fake.prompts, 2, "it resumes without another sizing")
}

// TestRunOfAServerWhoseCountsMakeNoSense: a file's prompt is sent without a sizing.
func TestRunOfAServerWhoseCountsMakeNoSense(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.Prompter.SetSizing(checkpoint.Sizing{})
	f.fake.alterSample = func(s *measurement.Sample) { s.PromptEvalCount = 400 }
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Zero(t, summary.Failed)
	assert.Contains(t, f.log.String(), "# warning: truncation: the prompt's length is not known before its first sample: the server counts 400 tokens in a prompt of 2 words and 400 in one of 18")
	assert.Equal(t, 1, strings.Count(f.log.String(), "is not known before"))
	assert.Len(t, f.fake.prompts, 2+4)
}

func TestRunRefusesAPromptThatDoesNotFit(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir)
	f.Prompter.SetSizing(checkpoint.Sizing{})
	f.Plan = append([]cell.Key{{Ctx: 256, Batch: 100}}, f.Plan...)
	summary, outcomes := f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "has 522 tokens, which with num_predict 2 do not fit the smallest num_ctx 256")
	assert.Len(t, outcomes, 1)
	assert.Empty(t, f.Store.Checkpoint().Results)

	// Where the length is known already, nothing is loaded.
	f = newFixture(t, dir)
	f.Plan = append([]cell.Key{{Ctx: 256, Batch: 100}}, f.Plan...)
	summary, _ = f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "do not fit the smallest num_ctx 256")
	assert.Empty(t, f.fake.loads)
}

func TestRunNamesCopiesOnce(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.sweeps(cell.Grid{Ctx: []int{1000, 2000}, Batch: []int{100, 600, 700}})
	f.run(t.Context())
	assert.Equal(t, 1, strings.Count(f.log.String(), "# warning: num_ctx=1000, 2000 with num_batch=600, 700: effective num_batch: num_batch is above the prompt's 522 tokens"))
	assert.Equal(t, 1, strings.Count(f.log.String(), "is above the prompt's"))
	r, _ := f.Store.Result(cell.Key{Ctx: 2000, Batch: 700})
	require.Len(t, r.Warnings, 1)
	assert.Contains(t, r.Warnings[0], "num_batch is above the prompt's 522 tokens")
}

func TestRunUnloadsBetweenTwoLoadsOfACell(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.Plan = f.Plan[:1]
	f.Repeat, f.Rounds = 3, true
	f.run(t.Context())
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 100}}, f.fake.loads)
	assert.Equal(t, 1+2, f.fake.unloaded)
}

func TestRunInRounds(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir)
	f.Repeat, f.Rounds = 2, true
	f.fake.loadErrs[cell.Key{Ctx: 1000, Batch: 200}] = []error{&measurement.Failure{Class: measurement.ModelError, Detail: "no"}}
	f.RetryFailed = true
	var names []string
	summary := f.Run(t.Context(), func(name string, measure func() Outcome) {
		names = append(names, name)
		if name != "ctx=2000/batch=200/round=2" {
			measure()
		}
	})
	require.NoError(t, summary.Usable())
	assert.Equal(t, []string{
		"ctx=1000/batch=100/round=1", "ctx=1000/batch=200/round=1", "ctx=2000/batch=100/round=1", "ctx=2000/batch=200/round=1",
		"ctx=1000/batch=100/round=2", "ctx=2000/batch=100/round=2", "ctx=2000/batch=200/round=2",
	}, names)
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 2000, Batch: 100}, {Ctx: 2000, Batch: 200}, {Ctx: 1000, Batch: 100}, {Ctx: 2000, Batch: 100}}, f.fake.samples)
	assert.Equal(t, 5, len(f.fake.loads)-1, "a cell that failed is not measured in the second round")
	assert.Equal(t, 1, summary.Missing)

	f = newFixture(t, dir)
	f.Repeat, f.Rounds = 2, true
	f.run(t.Context())
	assert.Equal(t, []cell.Key{{Ctx: 2000, Batch: 200}}, f.fake.samples, "it resumes where it stopped")
}

func TestRunEndsWithAnErrorOfSettling(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.fake.loadErrs[cell.Key{Ctx: 1000, Batch: 100}] = []error{&measurement.Failure{Class: measurement.OutOfGPUMemory}}
	f.fake.settleErr = errors.New("disk on fire")
	summary, _ := f.run(t.Context())
	assert.EqualError(t, summary.Usable(), "disk on fire")
}

// TestFirstPrompts: on a GPU the first whole prompt after each load does not count, unless it takes much
// time beside the load.
func TestFirstPrompts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		vram   int64
		prompt time.Duration // the load takes 4 s
		first  int           // left out
	}{
		{"on a GPU", 7, 700 * time.Millisecond, 1},
		{"in part on a GPU", 3, 700 * time.Millisecond, 1},
		{"on a CPU", 0, 700 * time.Millisecond, 0},
		{"long prompts", 7, 900 * time.Millisecond, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.Plan, f.Repeat = f.Plan[:1], 2
			f.fake.alterLoaded = func(l *measurement.Loaded) { l.SizeVRAM = tt.vram }
			f.fake.alterSample = func(s *measurement.Sample) { s.TotalDuration, s.Wall = tt.prompt, tt.prompt }
			f.run(t.Context())
			r, ok := f.Store.Result(f.Plan[0])
			require.True(t, ok)
			assert.Len(t, r.Samples, 2)
			assert.Len(t, r.FirstPrompts, tt.first)
			assert.Len(t, f.fake.samples, 2+tt.first, "prompts")
			assert.Len(t, f.bench, 2, "reported samples")
			assert.Equal(t, 4*time.Second+time.Duration(tt.first)*tt.prompt, LoadTime(&r))

			// A prompt that continues a load is no first one.
			again := newFixture(t, f.dir)
			again.Plan, again.Repeat = f.Plan, 3
			again.fake.alterLoaded, again.fake.alterSample = f.fake.alterLoaded, f.fake.alterSample
			again.run(t.Context())
			r, _ = again.Store.Result(f.Plan[0])
			assert.Len(t, r.Samples, 3)
			assert.Len(t, r.FirstPrompts, 2*tt.first, "one for each load")
		})
	}
}
