package sweep

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// identified has each identity check return the checkpoint's header, modified by change.
func identified(f *fixture, change func(h *checkpoint.Header, when Moment) error) {
	f.Identify = func(_ context.Context, when Moment) (checkpoint.Header, error) {
		h := f.Store.Checkpoint().Sweep
		err := change(&h, when)
		return h, err
	}
}

// TestVerifyWhenever: the identity is checked before each load, before each sample or failure is kept,
// and after each absence of the server.
func TestVerifyWhenever(t *testing.T) {
	f := newFixture(t, t.TempDir())
	first, second := f.Plan[0], f.Plan[1]
	f.fake.errs[first] = []error{&measurement.Failure{Class: measurement.ServerAway}}
	f.fake.loadErrs[second] = []error{&measurement.Failure{Class: measurement.ModelError}}
	var asked []string
	moments := map[Moment]string{BeforeLoad: "load", BeforeSave: "kept", AfterAbsence: "absence"}
	identified(f, func(_ *checkpoint.Header, when Moment) error {
		asked = append(asked, fmt.Sprintf("%s: %d loads, %d samples", moments[when], len(f.fake.loads), len(f.fake.samples)))
		return nil
	})
	f.Plan = f.Plan[:2]
	summary := f.Run(t.Context(), func(_ string, measure func() Outcome) { measure() })
	require.NoError(t, summary.Stop)
	assert.Equal(t, []string{
		"load: 0 loads, 0 samples", "absence: 1 loads, 0 samples", "load: 1 loads, 0 samples", "kept: 2 loads, 1 samples", // the first cell
		"load: 2 loads, 1 samples", "kept: 3 loads, 1 samples", // the second one
	}, asked)
	assert.Len(t, f.Store.Checkpoint().Results, 2)
}

// TestVerifyStops: neither a rate nor a failure of another server is kept.
func TestVerifyStops(t *testing.T) {
	for _, test := range []struct {
		name  string
		when  Moment
		fails bool
		after int // loads
	}{
		{"a load", BeforeLoad, false, 0},
		{"a sample", BeforeSave, false, 1},
		{"a failure", BeforeSave, true, 1},
		{"an absence", AfterAbsence, false, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			if test.fails {
				f.fake.loadErrs[f.Plan[0]] = []error{&measurement.Failure{Class: measurement.ModelError}}
			}
			if test.when == AfterAbsence {
				f.fake.errs[f.Plan[0]] = []error{&measurement.Failure{Class: measurement.ServerAway}}
			}
			identified(f, func(h *checkpoint.Header, when Moment) error {
				if when == test.when {
					h.OllamaVersion = "9"
				}
				return nil
			})
			summary := f.Run(t.Context(), func(_ string, measure func() Outcome) { measure() })
			assert.ErrorIs(t, summary.Stop, checkpoint.ErrOtherSweep)
			assert.ErrorContains(t, summary.Stop, `ollama_version was "" and is now "9"`)
			assert.Empty(t, f.Store.Checkpoint().Results)
			assert.Empty(t, f.bench)
			assert.Len(t, f.fake.loads, test.after)
		})
	}
}

// TestVerifyOfAServerThatIsAway: a sample that could not be verified is measured again, and a strange
// answer to an identity request is no failure of the cell.
func TestVerifyOfAServerThatIsAway(t *testing.T) {
	for _, class := range []measurement.Class{measurement.ServerAway, measurement.NoFigures, measurement.ModelError} {
		f := newFixture(t, t.TempDir())
		broken := 1
		identified(f, func(*checkpoint.Header, Moment) error {
			if len(f.fake.samples) > 0 && broken > 0 {
				broken--
				return &measurement.Failure{Class: class, Detail: "no answer"}
			}
			return nil
		})
		summary := f.Run(t.Context(), func(_ string, measure func() Outcome) { measure() })
		require.NoError(t, summary.Stop)
		assert.Contains(t, f.log.String(), "no answer: waiting for it, then measuring the cell again")
		assert.Equal(t, 4, summary.Rated)
		assert.Len(t, f.fake.loads, 5)
	}
	f := newFixture(t, t.TempDir())
	lost := errors.New("the model is gone")
	identified(f, func(*checkpoint.Header, Moment) error { return lost })
	assert.ErrorIs(t, f.Run(t.Context(), func(_ string, measure func() Outcome) { measure() }).Stop, lost)
}

// TestVerifyLearns: settings that the server's log shows only after a while are kept, and compared with
// later ones.
func TestVerifyLearns(t *testing.T) {
	f := newFixture(t, t.TempDir())
	settings := map[string]string{"OLLAMA_KV_CACHE_TYPE": "q8_0"}
	identified(f, func(h *checkpoint.Header, _ Moment) error {
		switch len(f.fake.loads) {
		case 0:
		case 1:
			h.Settings, h.Devices = settings, []string{"A"}
		default:
			h.Settings = map[string]string{"OLLAMA_KV_CACHE_TYPE": "f16"}
		}
		return nil
	})
	summary := f.Run(t.Context(), func(_ string, measure func() Outcome) { measure() })
	assert.ErrorContains(t, summary.Stop, `settings.OLLAMA_KV_CACHE_TYPE was "q8_0" and is now "f16"`)
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	assert.Equal(t, settings, cp.Sweep.Settings)
	assert.Equal(t, []string{"A"}, cp.Sweep.Devices)
	assert.Len(t, cp.Results, 1)
}

// TestVerifyLoad: where the log begins after the server's start, flash attention and KV cache type of
// the loads show that it was restarted with other settings.
func TestVerifyLoad(t *testing.T) {
	const on, off = "flash attention on, KV cache q8_0", "flash attention off, KV cache f16"
	for _, test := range []struct {
		name     string
		away     bool // before the second load
		learned  bool // the settings of a restart, before the second load
		loads    []string
		resumed  bool // after the first load
		measured int
	}{
		{"the same", true, false, []string{on, on, on, on}, false, 4},
		{"not in the log", true, false, []string{on, "", "", ""}, false, 4},
		{"after an absence", true, false, []string{on, off, off, off}, false, 1},
		{"after a start in the log", false, true, []string{on, off, off, off}, false, 1},
		{"on other GPUs", false, false, []string{on, off, on, off}, false, 4},
		{"in another run", false, false, []string{on, off, off, off}, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			f := newFixture(t, dir)
			measure := func(_ string, measure func() Outcome) { measure() }
			loads := 0
			attend := func() {
				f.fake.alterLoaded = func(l *measurement.Loaded) {
					l.Attention = test.loads[min(loads, len(test.loads)-1)]
					loads++
				}
				identified(f, func(h *checkpoint.Header, _ Moment) error {
					if test.learned && len(f.fake.loads) == 1 && len(f.Store.Checkpoint().Results) == 1 {
						h.Settings = map[string]string{}
					}
					return nil
				})
			}
			attend()
			if test.away {
				f.fake.loadErrs[f.Plan[1]] = []error{&measurement.Failure{Class: measurement.ServerAway}}
				test.loads = append(test.loads[:1], append([]string{""}, test.loads[1:]...)...)
			}
			if test.resumed {
				f.BudgetCells = 1
				f.Run(t.Context(), measure)
				f = newFixture(t, dir)
				attend()
			}
			summary := f.Run(t.Context(), measure)
			assert.Len(t, f.Store.Checkpoint().Results, test.measured)
			if test.measured == 4 {
				assert.NoError(t, summary.Stop)
				return
			}
			assert.ErrorContains(t, summary.Stop, `attention was "flash attention on, KV cache q8_0" and is now "flash attention off, KV cache f16": what would be measured now belongs to another sweep`)
		})
	}
}

func TestPlace(t *testing.T) {
	a := checkpoint.Place{Host: "http://127.0.0.1:11434", Machine: "a", MachineID: "1"}
	for _, test := range []struct {
		name string
		here checkpoint.Place
		want string
	}{
		{"the same", a, ""},
		{"renamed", checkpoint.Place{Host: a.Host, Machine: "b", MachineID: "1"}, ""},
		{"without a number", checkpoint.Place{Host: a.Host, Machine: "a"}, ""},
		{"not known", checkpoint.Place{}, ""},
		{"another machine of that name", checkpoint.Place{Host: a.Host, Machine: "a", MachineID: "2"}, "machine is "},
		{"another", checkpoint.Place{Host: a.Host, Machine: "b", MachineID: "2"}, `machine is "a" there and "b" here`},
		{"another host", checkpoint.Place{Host: "http://gpu:11434", Machine: "a", MachineID: "1"}, `host is "http://127.0.0.1:11434" there and "http://gpu:11434" here`},
		{"named by the user as the same", checkpoint.Place{Host: "http://gpu:11434", Machine: "a", Named: true}, ""},
		{"named by the user as another", checkpoint.Place{Host: a.Host, Machine: "b", Named: true}, `machine is "a" there and "b" here`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := checkpoint.Header{Place: a}.Differs(checkpoint.Header{Place: test.here})
			if test.want == "" {
				assert.Empty(t, got)
			} else {
				assert.Contains(t, got, test.want)
			}
			assert.Empty(t, checkpoint.Header{Place: a, Shard: cell.Shard{Index: 1, Count: 2}}.Differs(checkpoint.Header{Place: test.here, Shard: cell.Shard{Index: 1, Count: 2}}), "a shard may be resumed anywhere")
		})
	}
}

func TestHeaderWeights(t *testing.T) {
	const one, two = "1111111111111111", "2222222222222222"
	h := checkpoint.Header{Weights: map[string]string{"a.gguf": one, "lora.gguf": two}}
	assert.Empty(t, h.Differs(checkpoint.Header{Weights: map[string]string{"b.gguf": one, "lora.gguf": two}}), "by another name")
	assert.Empty(t, h.Differs(checkpoint.Header{}), "an older checkpoint")
	assert.Equal(t, `weights is "lora.gguf (sha256 222222222222)" there and "lora.gguf (sha256 111111111111)" here`,
		h.Differs(checkpoint.Header{Weights: map[string]string{"a.gguf": one, "lora.gguf": one}}))
	assert.Equal(t, "111111111111 222222222222", h.WeightsText())
	assert.Equal(t, one, checkpoint.Header{Weights: map[string]string{"a.gguf": one}}.WeightsText())
	assert.Empty(t, checkpoint.Header{Model: "Tiny"}.Differs(checkpoint.Header{Model: "library/tiny:latest"}))
	assert.Equal(t, `model is "tiny:q4" there and "tiny" here`, checkpoint.Header{Model: "tiny:q4"}.Differs(checkpoint.Header{Model: "tiny"}))
}
