package sweep

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// probedRunner is a server that can be probed: each pass takes 10 ms, and what a request costs besides
// takes 1 ms. Errors come first.
type probedRunner struct {
	*fakeRunner
	asked   [][]int
	errs    []error
	rateOf  func(size int) bool // whether a pass of that size has a rate; nil for yes
	onProbe func(context.Context)
}

func (p *probedRunner) Probe(ctx context.Context, tokens int, sizes []int, repeats int, words func(first, n int) string) ([]measurement.Probe, error) {
	p.asked = append(p.asked, sizes)
	p.clock = p.clock.Add(time.Second)
	if p.onProbe != nil {
		p.onProbe(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case len(p.errs) > 0:
		err := p.errs[0]
		p.errs = p.errs[1:]
		return nil, err
	case repeats != 1 || words(63, 2) != "and the":
		return nil, errors.New("not what is expected of a sweep")
	}
	cost := time.Millisecond
	var probes []measurement.Probe
	for _, size := range sizes {
		probe := measurement.Probe{NumBatch: size, Depth: (tokens - size) / 2, Tokens: size, Duration: 11 * time.Millisecond, RequestCost: &cost, Timestamp: p.clock}
		if p.rateOf != nil && !p.rateOf(size) {
			probe.Duration = cost
		}
		probes = append(probes, probe)
	}
	return probes, nil
}

// probingStrategy measures all cells of the plan, the first to the last, and probes each that it may
// until it has two readings of each size.
type probingStrategy struct {
	sizes []int
	asked []State
}

func (s *probingStrategy) Next(st State) Choice {
	s.asked = append(s.asked, st)
	answer := new(checkpoint.Answer)
	if loaded, ok := st.Measured[st.Loaded]; ok && st.Probes && !loaded.Failed {
		var lacking []int
		for _, size := range s.sizes {
			if !slices.ContainsFunc(loaded.Probes, func(p checkpoint.ProbeRates) bool { return p.NumBatch == size && len(p.Rates) == 2 }) {
				lacking = append(lacking, size)
			}
		}
		if len(lacking) > 0 {
			return Choice{Cells: []cell.Key{st.Loaded}, Samples: len(loaded.Rates), Probes: lacking, Answer: answer}
		}
	}
	for _, c := range st.Plan {
		if st.Measured[c].Open(1) {
			return Choice{Cells: []cell.Key{c}, Samples: 1, Answer: answer}
		}
	}
	return Choice{Answer: answer}
}

// newProbed returns a sweep whose cells are probed with passes of 8 and 64 tokens.
func newProbed(t *testing.T, dir string) (*fixture, *probedRunner, *probingStrategy) {
	t.Helper()
	f := newFixture(t, dir)
	p, s := &probedRunner{fakeRunner: f.fake}, &probingStrategy{sizes: []int{8, 64}}
	f.Runner, f.Strategy, f.Probe = p, s, true
	return f, p, s
}

var both = []int{8, 64}

// TestRunProbes: probes are saved with their cell, change none of its figures, and are no subtest.
func TestRunProbes(t *testing.T) {
	dir := t.TempDir()
	f, p, s := newProbed(t, dir)
	summary, names := f.names(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, []string{"ctx=1000/batch=100", "ctx=1000/batch=200", "ctx=2000/batch=100", "ctx=2000/batch=200"}, names)
	assert.Equal(t, [][]int{both, both, both, both, both, both, both, both}, p.asked, "two readings of each load")
	assert.Len(t, f.fake.loads, 4)
	assert.Len(t, f.bench, 4, "a probe is not a sample")
	assert.Contains(t, f.log.String(), "# probed ctx=1000/batch=200: passes of 8 64 tokens\n")
	assert.Equal(t, 522, s.asked[1].PromptTokens)

	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	for i := range cp.Results {
		r := &cp.Results[i]
		require.Len(t, r.Probes, 4)
		assert.Len(t, r.Samples, 1)
		assert.InDeltaSlice(t, []float64{800, 800}, r.ProbeRates()[0].Rates, 1e-6)
		assert.InDeltaSlice(t, []float64{6400, 6400}, r.ProbeRates()[1].Rates, 1e-6)
		assert.InDelta(t, float64(r.NumCtx+r.NumBatch), *r.PromptEvalRate, 1e-3)
		r.Probes = nil
	}

	plain, unused, _ := newProbed(t, t.TempDir())
	plain.Probe = false
	_, _ = plain.names(t.Context())
	assert.Empty(t, unused.asked, "probe: false")
	without := plain.Store.Checkpoint()
	for i := range cp.Results {
		cp.Results[i].Timestamp, without.Results[i].Timestamp = noon, noon // probes take time
	}
	assert.Equal(t, without.Results, cp.Results)

	before, err := os.ReadFile(f.Store.Path())
	require.NoError(t, err)
	f, p, _ = newProbed(t, dir)
	_, _ = f.names(t.Context())
	assert.Empty(t, p.asked, "nothing is loaded, so nothing is probed")
	after, err := os.ReadFile(f.Store.Path())
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after))
}

// TestRunWithoutProbes: sweeps that can't probe, or must not, tell their strategy so.
func TestRunWithoutProbes(t *testing.T) {
	f, _, s := newProbed(t, t.TempDir())
	f.Runner = f.fake // not a Prober
	_, _ = f.names(t.Context())
	assert.False(t, s.asked[0].Probes)

	f, p, _ := newProbed(t, t.TempDir())
	f.Strategy = Exhaustive{Repeat: 1}
	_, _ = f.names(t.Context())
	assert.Empty(t, p.asked)

	f, p, s = newProbed(t, t.TempDir())
	prompter, err := NewPrompter(config.Prompt{Tokens: 400}, 2)
	require.NoError(t, err)
	prompter.SetSizing(checkpoint.Sizing{Fixed: 42, PerWord: 2})
	f.Prompter = prompter
	_, _ = f.names(t.Context())
	assert.Empty(t, p.asked)
	assert.False(t, s.asked[0].Probes)
	assert.Equal(t, 1, strings.Count(f.log.String(), "# prompts of 400 tokens can't be probed: 512 are needed: measuring without probes\n"))
}

// TestRunUnprobeable: the reason why a model can't be probed is printed and kept once, and no run asks
// again. One that may pass ends the probes of a load only.
func TestRunUnprobeable(t *testing.T) {
	dir := t.TempDir()
	f, p, s := newProbed(t, dir)
	p.errs = []error{&measurement.Unprobeable{Reason: "the server keeps no prompts"}}
	summary, _ := f.names(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, 4, summary.Measured)
	assert.Len(t, p.asked, 1)
	assert.True(t, s.asked[1].Probes)
	assert.False(t, s.asked[2].Probes)
	assert.Contains(t, f.log.String(), "# the model can't be probed: the server keeps no prompts: measuring without probes\n")

	f, p, s = newProbed(t, dir)
	f.RetryFailed = true
	_, _ = f.names(t.Context())
	assert.False(t, s.asked[0].Probes, "the checkpoint says so")
	assert.Empty(t, p.asked)

	f, p, s = newProbed(t, t.TempDir())
	p.errs = []error{&measurement.Unprobeable{Reason: "another client used the model", Temporary: true}}
	_, _ = f.names(t.Context())
	assert.Len(t, p.asked, 1+3*2)
	assert.Equal(t, cell.Key{}, s.asked[2].Loaded, "so that the strategy asks for no probes of it")
	assert.Contains(t, f.log.String(), "# ctx=1000/batch=100 can't be probed: another client used the model: measuring on without these probes\n")
	assert.Empty(t, f.Store.Checkpoint().Sweep.Unprobeable)
}

// TestRunProbesWithoutReadings: sizes without a rate are not asked for again and again.
func TestRunProbesWithoutReadings(t *testing.T) {
	f, p, _ := newProbed(t, t.TempDir())
	p.rateOf = func(size int) bool { return size > 8 }
	summary, _ := f.names(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, [][]int{both, both, {8}}, p.asked[:3])
	assert.Len(t, p.asked, 4*3)
	assert.Len(t, f.Store.Checkpoint().Results[0].Measured().Probes, 1)
}

// TestRunProbesFail: a cell keeps its rate when probing it fails.
func TestRunProbesFail(t *testing.T) {
	for _, class := range []measurement.Class{measurement.RunnerCrashed, measurement.OutOfGPUMemory, measurement.ServerAway} {
		f, p, s := newProbed(t, t.TempDir())
		p.errs = []error{&measurement.Failure{Class: class, Detail: "gone"}}
		summary, _ := f.names(t.Context())
		require.NoError(t, summary.Usable(), class)
		assert.Equal(t, 4, summary.Measured)
		assert.Zero(t, summary.Failed)
		assert.Len(t, p.asked, 1+3*2)
		assert.Equal(t, cell.Key{}, s.asked[2].Loaded)
		assert.Contains(t, f.log.String(), "# ctx=1000/batch=100: probing it failed: "+string(class)+": gone: it keeps its rate\n")
	}
	f, p, _ := newProbed(t, t.TempDir())
	p.errs = []error{errors.New("disk on fire")}
	summary, _ := f.names(t.Context())
	assert.EqualError(t, summary.Usable(), "disk on fire")

	f, p, _ = newProbed(t, t.TempDir())
	f.fake.onSample = func() { f.CellTimeout = time.Nanosecond }
	p.onProbe = func(ctx context.Context) { <-ctx.Done(); f.CellTimeout = time.Minute }
	unloaded := f.fake.unloaded
	summary, _ = f.names(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, 4, summary.Measured)
	assert.Contains(t, f.log.String(), "# ctx=1000/batch=100: probing it failed: Timeout or no output: not done within 1m0s (cell_timeout): it keeps its rate\n")
	assert.GreaterOrEqual(t, f.fake.unloaded-unloaded, 4, "the server may go on")
}

// TestRunStopsInProbes: a run that is stopped in probes keeps what it has, and is resumed.
func TestRunStopsInProbes(t *testing.T) {
	for name, stop := range map[string]func(f *fixture, p *probedRunner, cancel context.CancelFunc) error{
		"interrupt": func(_ *fixture, p *probedRunner, cancel context.CancelFunc) error {
			p.onProbe = func(context.Context) {
				if len(p.asked) == 2 {
					cancel()
				}
			}
			return ErrInterrupted
		},
		"budget": func(f *fixture, _ *probedRunner, _ context.CancelFunc) error {
			f.BudgetEnd = noon.Add(5500 * time.Millisecond)
			return ErrBudget
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, p, _ := newProbed(t, dir)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			want := stop(f, p, cancel)
			summary, _ := f.names(ctx)
			require.ErrorIs(t, summary.Stop, want)
			cp, err := checkpoint.Load(f.Store.Path())
			require.NoError(t, err)
			require.Len(t, cp.Results, 1)
			assert.Len(t, cp.Results[0].Probes, 2)

			f, p, _ = newProbed(t, dir)
			summary, _ = f.names(t.Context())
			require.NoError(t, summary.Usable())
			assert.Len(t, p.asked, 3*2)
			assert.Len(t, f.Store.Checkpoint().Results[0].Probes, 2, "kept")
			assert.Len(t, f.Store.Checkpoint().Results[1].Probes, 4)
		})
	}
}
