package simulate

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// list is a strategy that makes a fixed list of choices, and then gives an answer.
type list struct {
	choices []sweep.Choice
	answer  *checkpoint.Answer
	next    int
}

func (l *list) Next(sweep.State) sweep.Choice {
	if l.next == len(l.choices) {
		return sweep.Choice{Why: "the end", Answer: l.answer}
	}
	l.next++
	return l.choices[l.next-1]
}

func TestPlayCounts(t *testing.T) {
	a, b, c, d := cell.Key{Ctx: 1, Batch: 1}, cell.Key{Ctx: 1, Batch: 2}, cell.Key{Ctx: 2, Batch: 1}, cell.Key{Ctx: 2, Batch: 2}
	s := &Surface{Plan: []cell.Key{a, b, c, d}, Rates: map[cell.Key]float64{a: 80, b: 100, c: 90}}
	one := func(c cell.Key, samples int, reload bool) sweep.Choice {
		return sweep.Choice{Cells: []cell.Key{c}, Samples: samples, Reload: reload}
	}
	answer := &checkpoint.Answer{Best: c, Columns: []checkpoint.ColumnAnswer{{NumCtx: 1, NumBatch: 1}, {NumCtx: 2, NumBatch: 2}}}
	run := Play(s, &list{choices: []sweep.Choice{
		one(a, 1, false), // 1
		one(a, 3, false), // two more prompts: 0.5
		one(d, 1, false), // fails: 1
		one(a, 4, false), // loaded again: 1
		one(a, 5, true),  // and again, by request: 1
	}, answer: answer}, 1)
	run.Thought = 0
	assert.InDelta(t, 0.1, run.Regret, 1e-9)
	assert.InDelta(t, 0.2, run.Columns[0], 1e-9)
	assert.Equal(t, 1.0, run.Columns[1], "a recommended cell that fails loses everything")
	run.Regret, run.Columns = 0, nil
	assert.Equal(t, Run{Cost: 4.5, Share: 4.5 / 4, LoadShare: 1, Measured: 1, Failed: 1, Samples: 5, Loads: 4, Steps: 6, Why: "the end"}, run)
}

func TestPlayWithoutAnAnswer(t *testing.T) {
	a, b, c := cell.Key{Ctx: 1, Batch: 1}, cell.Key{Ctx: 1, Batch: 2}, cell.Key{Ctx: 2, Batch: 1}
	s := &Surface{Plan: []cell.Key{a, b, c}, Rates: map[cell.Key]float64{a: 80, b: 100}}
	run := Play(s, sweep.Exhaustive{Repeat: 2}, 1)
	assert.Equal(t, 0.0, run.Regret, "the cell with the highest rate counts as recommended")
	assert.Equal(t, []float64{0}, run.Columns, "also of each num_ctx where a cell works")
	assert.Equal(t, 3.5, run.Cost)
	run = Play(s, &list{answer: new(checkpoint.Answer)}, 1)
	assert.Equal(t, 1.0, run.Regret, "no recommendation at all")
	assert.Empty(t, run.Columns)
}

func TestRandom(t *testing.T) {
	s := Generate(1, 1)[0]
	run := Play(s, randomSearch{Seed: 3}, 1)
	assert.Equal(t, 25, run.Measured+run.Failed)
	assert.Equal(t, 25.0, run.Cost)
	assert.Empty(t, run.Columns)
	small := &Surface{Plan: s.Plan[:7], Rates: s.Rates}
	assert.Equal(t, 7.0, Play(small, randomSearch{Seed: 3}, 1).Cost)
}

// TestGolden: golden sections find the only maximum, and miss the higher of two.
func TestGolden(t *testing.T) {
	hill := &Surface{Rates: make(map[cell.Key]float64)}
	for ctx := range 30 {
		for batch := range 30 {
			c := cell.Key{Ctx: ctx + 1, Batch: batch + 1}
			hill.Plan = append(hill.Plan, c)
			hill.Rates[c] = 1e4 - float64((ctx-9)*(ctx-9)+(batch-21)*(batch-21))
		}
	}
	run := Play(hill, goldenSection{}, 1)
	assert.Equal(t, 0.0, run.Regret)
	assert.Less(t, run.Cost, 25.0)
	for _, c := range hill.Plan {
		if c.Batch < 4 {
			hill.Rates[c] *= 2
		}
	}
	assert.Greater(t, Play(hill, goldenSection{}, 1).Regret, 0.4)

	one := cell.Key{Ctx: 1, Batch: 1}
	single := &Surface{Plan: []cell.Key{one}, Rates: map[cell.Key]float64{one: 5}}
	assert.Equal(t, 1.0, Play(single, goldenSection{}, 1).Cost)
}

func TestScore(t *testing.T) {
	s := score("all", "best", []Run{
		{Cost: 10, Share: 0.1, LoadShare: 0.25, Regret: 0.01, Columns: []float64{0, 0.5}, Steps: 10, Thought: 100e6},
		{Cost: 30, Share: 0.2, LoadShare: 0.75, Regret: 0.03, Columns: []float64{0, 0.1}, Failed: 2, Steps: 10, Thought: 300e6},
	})
	assert.InDelta(t, 15, s.Share, 1e-9)
	assert.InDelta(t, 15, s.Columns.Mean, 1e-9)
	s.Share, s.Columns.Mean = 0, 0
	assert.Equal(t, Score{
		Surfaces: "all", Strategy: "best", Runs: 2, Cells: 20, MaxCells: 30, Failed: 1, Loads: 50, Mean: 2, Median: 1, P95: 3, Worst: 3, Over2: 50,
		Columns: &ColumnScore{P95: 50, WorstP95: 50}, ThoughtMS: 20,
	}, s)
}

// TestCompareReportsPlays: each play is reported once, by name.
func TestCompareReportsPlays(t *testing.T) {
	counts := make(map[string]int)
	o := Options{Strategies: []string{"golden"}, Seeds: 3, Tolerance: 0.01, OnPlay: func(p Played) {
		counts[p.Strategy]++
		assert.GreaterOrEqual(t, p.Took, time.Duration(0))
	}}
	Compare(Generate(2, 1), o)
	assert.Equal(t, map[string]int{"golden": 6, "random": 6, "exhaustive": 6}, counts)
	names, each := o.Plays(2)
	assert.Equal(t, []string{"golden", "random", "exhaustive"}, names)
	assert.Equal(t, 6, each)
}

// TestPrintRepeatsNothing: one surface gives one table, and a group of one surface gives no
// row in the second.
func TestPrintRepeatsNothing(t *testing.T) {
	print := func(surfaces []*Surface) string {
		var b strings.Builder
		assert.NoError(t, Compare(surfaces, Options{Strategies: []string{"golden"}, Seeds: 1, Tolerance: 0.01}).Print(&b))
		return b.String()
	}
	drawn := Generate(20, 1) // the first ten on a grid of 39 x 16
	one := print(drawn[:1])
	assert.Equal(t, 1, strings.Count(one, "decision ms"))
	assert.Contains(t, one, "\n\nOn average, golden would have cost 2 % of the loads and lost ")
	several := print([]*Surface{drawn[0], drawn[1], drawn[10]})
	assert.Equal(t, 2, strings.Count(several, "decision ms"))
	assert.Contains(t, several, "39 x 16")
	assert.NotContains(t, several, " "+drawn[10].grid()+" ")
	assert.Contains(t, several, "all")
}

// TestSentence: the sentence names the requested strategies.
func TestSentence(t *testing.T) {
	c := Comparison{Requested: []string{"best", "frontier"}, Overall: []Score{
		{Surfaces: "5 x 5", Strategy: "best", Loads: 50, Mean: 5},
		{Surfaces: "all", Strategy: "best", Loads: 16.7, Mean: 0.42, Columns: &ColumnScore{Mean: 3}},
		{Surfaces: "all", Strategy: "frontier", Loads: 41, Mean: 0.5, Columns: &ColumnScore{Mean: 0.21}},
		{Surfaces: "all", Strategy: "exhaustive", Loads: 100, Mean: 0.5},
	}}
	assert.Equal(t, "On average, best would have cost 17 % of the loads and lost 0.4 %; frontier would have cost 41 % of the loads and lost 0.2 % of each num_ctx's best rate.", c.sentence())
	assert.Empty(t, Comparison{}.sentence())
}

// TestPlayProbes: probes cost their tokens and half a prompt before them, and no load.
func TestPlayProbes(t *testing.T) {
	a := cell.Key{Ctx: 2, Batch: 200}
	s := &Surface{Plan: []cell.Key{a}, Rates: map[cell.Key]float64{a: 80}, PromptTokens: 1000, Probes: map[cell.Key]map[int]float64{a: {100: 70, 200: 81}}}
	l := &probedList{list: list{choices: []sweep.Choice{
		{Cells: []cell.Key{a}, Samples: 1},
		{Cells: []cell.Key{a}, Samples: 1, Probes: []int{200, 100}},
		{Cells: []cell.Key{a}, Samples: 1, Probes: []int{100}},
	}, answer: &checkpoint.Answer{Best: a}}}
	run := Play(s, l, 1)
	assert.InDelta(t, 1+promptCost*(0.5+0.3+0.5+0.1), run.Cost, 1e-9)
	assert.Equal(t, 1, run.Loads)
	assert.Equal(t, 3, run.Probes)
	assert.True(t, l.last.Probes)
	assert.Equal(t, 1000, l.last.PromptTokens)
	assert.Equal(t, []checkpoint.ProbeRates{{NumBatch: 100, Rates: []float64{70, 70}}, {NumBatch: 200, Rates: []float64{81}}}, l.last.Measured[a].Probes)
}

// TestPlayWithoutReadings: a search ends where a load that can be probed has no rates for some sizes.
func TestPlayWithoutReadings(t *testing.T) {
	var plan []cell.Key
	s := &Surface{Rates: make(map[cell.Key]float64), PromptTokens: 7000, Probes: map[cell.Key]map[int]float64{}}
	for _, ctx := range []int{4096, 8192, 16384} {
		for _, batch := range []int{64, 128, 256, 512} {
			c := cell.Key{Ctx: ctx, Batch: batch}
			plan = append(plan, c)
			s.Rates[c], s.Probes[c] = float64(batch), map[int]float64{64: 64}
		}
	}
	s.Plan, s.Probes[plan[3]] = plan, nil
	for _, name := range searches() {
		run := Play(s, strategy(name, 0.01, 1), 1)
		assert.NotEmpty(t, run.Why, name)
		assert.Zero(t, run.Regret, name)
	}
}

// probedList keeps the last state.
type probedList struct {
	list
	last sweep.State
}

func (l *probedList) Next(st sweep.State) sweep.Choice {
	l.last = st
	return l.list.Next(st)
}
