package sweep

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

func TestMiddleMean(t *testing.T) {
	s := func(seconds ...int) (ds []time.Duration) {
		for _, n := range seconds {
			ds = append(ds, time.Duration(n)*time.Second)
		}
		return ds
	}
	for name, tt := range map[string]struct{ of, want []time.Duration }{
		"nothing":                {nil, s(0)},
		"one":                    {s(7), s(7)},
		"three":                  {s(1, 2, 6), s(3)},
		"one of many hung":       {s(5, 4, 5, 900, 6, 5, 5, 5), s(5)},
		"one of many gave up":    {s(5, 5, 0, 5, 5), s(5)},
		"half fast, others slow": {s(1, 9, 1, 9), s(5)},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want[0], middleMean(slices.Sorted(slices.Values(tt.of)))) })
	}
}

// TestTimingsSeparateLoads: cells with six prompts and cells with one give the same
// pace.
func TestTimingsSeparateLoads(t *testing.T) {
	var some timings
	prompt := measurement.Sample{Wall: 2 * time.Second, TotalDuration: time.Second}
	some.add(102*time.Second, true, []measurement.Sample{prompt})
	some.add(112*time.Second, true, []measurement.Sample{prompt, prompt, prompt, prompt, prompt, {TotalDuration: 2 * time.Second}})
	some.add(2*time.Second, false, []measurement.Sample{prompt}) // after a load that is counted
	some.add(100*time.Second, true, nil)                         // failed
	some.add(0, true, []measurement.Sample{prompt})              // a clock that was set back
	pace, ok := some.pace("so")
	assert.True(t, ok)
	assert.Equal(t, Pace{Load: 100 * time.Second, Prompt: 2 * time.Second, Basis: "so"}, pace)
	assert.Equal(t, 1012*time.Second, pace.Time(10, 6))
}

func TestPaceOfACheckpoint(t *testing.T) {
	cp := &checkpoint.Checkpoint{Results: []checkpoint.Result{
		{Warmup: &measurement.Sample{TotalDuration: 90 * time.Second}, Samples: []measurement.Sample{{Wall: 40 * time.Second}, {Wall: 38 * time.Second}}},
		{}, // of the older tool
	}}
	pace, ok := PaceOf(cp)
	assert.True(t, ok)
	assert.Equal(t, Pace{Load: 90 * time.Second, Prompt: 39 * time.Second, Basis: "as measured before"}, pace)
	_, ok = PaceOf((&checkpoint.Checkpoint{Results: []checkpoint.Result{{}}}))
	assert.False(t, ok)
}

// TestOnProgress: every cell is reported twice, and only failures have a line in the
// log.
func TestOnProgress(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.fake.errs[cell.Key{Ctx: 2000, Batch: 100}] = []error{
		&measurement.Failure{Class: measurement.OutOfGPUMemory, Detail: "no"}, &measurement.Failure{Class: measurement.OutOfGPUMemory, Detail: "no"},
	}
	var reports []Progress
	f.OnProgress = func(p Progress) { reports = append(reports, p) }
	f.run(t.Context())
	assert.Len(t, reports, 8)
	assert.Equal(t, Progress{Name: "ctx=1000/batch=100", Begins: true, Number: 1, Cells: 4, Left: 20 * time.Second, LeftLeast: 20 * time.Second, HasLeft: true}, reports[0])
	assert.Equal(t, "ctx=1000/batch=200", reports[3].Name)
	assert.False(t, reports[3].Begins)
	assert.Equal(t, 2, reports[3].Number)
	assert.Equal(t, 1200.0, reports[3].Last)
	assert.Equal(t, cell.Key{Ctx: 1000, Batch: 200}, reports[3].Best.Cell())
	assert.Equal(t, 10*time.Second, reports[3].Elapsed)
	assert.Equal(t, 10*time.Second, reports[3].Left)
	assert.Equal(t, 1, reports[7].Failed)
	assert.Zero(t, reports[5].Last)
	assert.NotContains(t, f.log.String(), "# 1/4")
	assert.Contains(t, f.log.String(), "# 3/4 ctx=2000/batch=100: CUDA OOM: no; best 1200.0 at ctx=1000/batch=200; 1 failed; elapsed")
}
