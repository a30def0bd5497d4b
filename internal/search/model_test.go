package search

import (
	"maps"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// saturating returns a rate that rises with num_batch and falls a little with num_ctx.
func saturating(c cell.Key) float64 {
	return 1000 / (1 + 200/float64(c.Batch)) * (1 - float64(c.Ctx)/2e6)
}

// believed returns the model's mean and standard deviation of a cell's log rate.
func believed(m *model, cell int) (mean, sd float64) {
	var square float64
	for _, p := range m.posts {
		b := m.beliefs(p, m.s.sampledAll([]int{cell}))
		mean += p.weight * b.mean[0]
		square += p.weight * (b.mean[0]*b.mean[0] + b.variance[0])
	}
	return mean, math.Sqrt(square - mean*mean)
}

func TestModelLearnsASurface(t *testing.T) {
	plan := square(10)
	rng := rand.New(rand.NewPCG(1, 1))
	known := make(map[cell.Key]checkpoint.Measured)
	for _, i := range []int{0, 4, 9, 25, 48, 61, 90, 99} {
		known[plan[i]] = checkpoint.Measured{Rates: []float64{saturating(plan[i]) * math.Exp(0.01*rng.NormFloat64())}}
	}
	var s searcher
	v := s.update(sweep.State{Plan: plan, Measured: known})
	require.Len(t, v.m.posts, keptShapes)
	var weight float64
	for _, p := range v.m.posts {
		weight += p.weight
	}
	assert.InDelta(t, 1, weight, 1e-9)
	within := 0
	for i, c := range plan {
		mean, sd := believed(v.m, i)
		assert.InDelta(t, math.Log(saturating(c)), mean, 0.15, c)
		if math.Abs(mean-math.Log(saturating(c))) < 2*sd {
			within++
		}
	}
	assert.GreaterOrEqual(t, within, 90, "of 100 cells, within two standard deviations")
	_, near := believed(v.m, 4)
	_, far := believed(v.m, 30)
	assert.Less(t, near, far, "a measured cell is more certain")
}

func TestModelDiscountsAnOutlier(t *testing.T) {
	plan := square(10)
	known := make(map[cell.Key]checkpoint.Measured)
	for i, c := range plan {
		if i%6 == 0 {
			known[c] = checkpoint.Measured{Rates: []float64{saturating(c)}}
		}
	}
	slow := plan[48]
	known[slow] = checkpoint.Measured{Rates: []float64{0.85 * saturating(slow)}}
	var s searcher
	v := s.update(sweep.State{Plan: plan, Measured: known})
	assert.Less(t, v.byCell[48].weight[0], 0.2)
	for _, o := range v.obs {
		if o.cell != 48 {
			assert.Greater(t, o.weight[0], 0.8, plan[o.cell])
		}
	}
	mean, _ := believed(v.m, 48)
	truth, sample := math.Log(saturating(slow)), v.byCell[48].logs[0]
	assert.Less(t, math.Abs(mean-truth), math.Abs(mean-sample), "the prediction is closer to the truth than the sample is")
}

// TestOutlierIsMeasuredAgain: where the only sample of the loaded cell is far below
// the prediction by other cells, every search checks it with another prompt.
func TestOutlierIsMeasuredAgain(t *testing.T) {
	plan := square(10)
	known := make(map[cell.Key]checkpoint.Measured)
	for i, c := range plan {
		if i%6 == 0 || i%10 == 0 || i%10 == 9 {
			known[c] = checkpoint.Measured{Rates: []float64{saturating(c)}}
		}
	}
	for _, strategy := range []sweep.Strategy{&Best{Tolerance: 0.01}, &Frontier{Tolerance: 0.01}} {
		st := sweep.State{Plan: plan, Measured: maps.Clone(known), Loaded: plan[48]}
		st.Measured[plan[48]] = checkpoint.Measured{Rates: []float64{0.85 * saturating(plan[48])}}
		choice := strategy.Next(st)
		assert.Equal(t, []cell.Key{plan[48]}, choice.Cells)
		assert.Equal(t, 2, choice.Samples)
		assert.Equal(t, choice, strategy.Next(st), "the same state gives the same choice")

		st.Measured[plan[48]] = known[plan[48]]
		assert.NotEqual(t, []cell.Key{plan[48]}, strategy.Next(st).Cells, "as fast as expected")
	}
}

// TestModelOfManyCells: of more measured cells than the model uses, it uses those
// that may be the fastest.
func TestModelOfManyCells(t *testing.T) {
	plan := square(20)
	known := make(map[cell.Key]checkpoint.Measured)
	for _, c := range plan {
		known[c] = checkpoint.Measured{Rates: []float64{saturating(c)}}
	}
	var s searcher
	v := s.update(sweep.State{Plan: plan, Measured: known})
	assert.Len(t, v.m.obs, mostMeasured)
	assert.Len(t, v.m.all, 400)
	fastest := make(map[int]bool)
	for _, o := range v.m.obs {
		fastest[o.cell] = true
	}
	for i, c := range plan {
		if c.Batch == 2000 {
			assert.True(t, fastest[i], "%v, the fastest of its num_ctx", c)
		}
	}
}

func TestModelIsKeptWhileSamplesAreTheSame(t *testing.T) {
	plan := square(5)
	known := map[cell.Key]checkpoint.Measured{plan[0]: {Rates: []float64{5}}, plan[9]: {Rates: []float64{7}}}
	var s searcher
	first := s.update(sweep.State{Plan: plan, Measured: known}).m
	known[plan[3]] = checkpoint.Measured{Closed: true}
	assert.Same(t, first, s.update(sweep.State{Plan: plan, Measured: known}).m)
	known[plan[9]] = checkpoint.Measured{Rates: []float64{7, 8}}
	assert.NotSame(t, first, s.update(sweep.State{Plan: plan, Measured: known}).m)
}

func TestExpectedGain(t *testing.T) {
	assert.InDelta(t, 1/math.Sqrt(2*math.Pi), expectedGain(0, 1), 1e-12)
	assert.InDelta(t, 3, expectedGain(3, 0.1), 1e-9)
	assert.InDelta(t, 0, expectedGain(-3, 0.1), 1e-9)
}

// TestSamplesThatAgree: several samples of a cell that agree are no outliers, however well all others predict
// another rate.
func TestSamplesThatAgree(t *testing.T) {
	plan := square(10)
	slow := plan[45]
	for _, tt := range []struct {
		name     string
		shares   []float64 // of the rate that others predict
		outliers int
	}{
		{"one slow sample", []float64{0.8}, 1},
		{"two that agree", []float64{0.8, 0.806}, 0},
		{"four that agree", []float64{0.8, 0.81, 0.795, 0.806}, 0},
		{"one of two", []float64{0.8, 1.01}, 1},
		{"two of four", []float64{0.8, 0.99, 0.82, 1.01}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			st := sweep.State{Plan: plan, Measured: make(map[cell.Key]checkpoint.Measured)}
			for _, c := range plan {
				st.Measured[c] = checkpoint.Measured{Rates: []float64{saturating(c) * math.Exp(0.02*rng.NormFloat64())}}
			}
			var rates []float64
			for _, share := range tt.shares {
				rates = append(rates, share*saturating(slow))
			}
			st.Measured[slow] = checkpoint.Measured{Rates: rates}
			var s searcher
			v := s.update(st)
			outliers := 0
			for _, w := range v.byCell[45].weight {
				if w < doubtWeight {
					outliers++
				}
			}
			assert.Equal(t, tt.outliers, outliers, v.byCell[45].weight)
		})
	}
}

// TestHoldToSamples: a cell is not believed to be further from its own samples than they allow.
func TestHoldToSamples(t *testing.T) {
	plan := square(10)
	st := sweep.State{Plan: plan, Measured: make(map[cell.Key]checkpoint.Measured)}
	for _, i := range []int{0, 4, 9, 25, 48, 61, 90, 99} {
		st.Measured[plan[i]] = checkpoint.Measured{Rates: []float64{saturating(plan[i]), saturating(plan[i])}}
	}
	var s searcher
	v := s.update(st)
	p, o := v.m.posts[0], v.byCell[48]
	mean := func() float64 { return v.m.beliefs(p, v.sampledAll([]int{48})).mean[0] }
	fitted := mean()
	for _, wrong := range []float64{-0.3, 0.3} {
		for l := range o.logs {
			o.logs[l] = fitted + wrong
		}
		o.weight = []float64{1, 1}
		standardError := p.k.noise / math.Sqrt2
		assert.InDelta(t, fitted+wrong, mean(), ownSpread*standardError+1e-9)
		o.weight = []float64{0.01, 0.01}
		assert.InDelta(t, fitted, mean(), 1e-9, "they are outliers")
	}
}

func TestMisfits(t *testing.T) {
	const predicted, sd, between = 46.7, 0.027, 0.022 // tokens/s; the others in its logarithm
	for _, tt := range []struct {
		name  string
		rates []float64
		want  bool
	}{
		{"as predicted", []float64{46.5, 47.1}, false},
		{"one slow sample", []float64{35.1}, false},
		{"one slow sample of two", []float64{35.1, 46.5}, false},
		{"one slow sample of three", []float64{46.2, 35.1, 46.9}, false},
		{"slow samples that differ", []float64{38.2, 41, 43.6}, false},
		{"two slow samples that agree", []float64{35.1, 35.3}, true},
		{"four slow samples that agree", []float64{34.93, 35.39, 35.06, 35.41}, true},
		{"three slow samples that agree, one slower", []float64{34.93, 30, 35.06, 35.41}, true},
		{"two fast samples that agree", []float64{56.1, 56.4}, true},
		{"slower than any outlier", []float64{12, 12.1}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, misfits(logs(tt.rates), math.Log(predicted), sd, between))
		})
	}
}
