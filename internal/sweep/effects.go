package sweep

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Effect is how much an axis moves the rate, over the cells that differ in nothing else.
type Effect struct {
	Axis  string
	Value string // of the recommended cell
	// Own is the value that stands for the server's own choice, empty where no cell has it.
	Own string
	// Over holds how much faster Value is than each other one with which there are cells to compare, the
	// largest gain first.
	Over []ValueGain
	// Failing holds the other values with which cells fail that work with Value.
	Failing []ValueFailures
}

// ValueFailures is the number of cells that fail with another value of an axis.
type ValueFailures struct {
	Other string
	Cells int
}

// ValueGain is how much faster a value of an axis is than another.
type ValueGain struct {
	Other string
	verdict.Gain
	// Here is the gain at the recommended cell alone, nil where the cell to compare it with has no rate.
	Here *verdict.Gain
	// InTurns means that Here was measured by a baseline; the gain is the same where no cells differ in nothing
	// else.
	InTurns bool
	// Estimated means that no cells differ in nothing else: it is a search's estimate.
	Estimated bool
}

// Differs reports whether the value gains or loses more than noise, on average or at the recommended cell.
func (g ValueGain) Differs() bool { return g.OnAverage() || g.DiffersHere() }

// DiffersHere reports whether the value gains or loses more than noise at the recommended cell, and another gain
// than on average.
func (g ValueGain) DiffersHere() bool { return g.Depends() && excludesZero(*g.Here) }

// OnAverage reports whether the value gains or loses more than noise over all cells.
func (g ValueGain) OnAverage() bool { return excludesZero(g.Gain) }

// Depends reports whether the gain at the recommended cell is another one than over all cells: their intervals
// have nothing in common, or a baseline found one where the cells show none.
func (g ValueGain) Depends() bool {
	if g.Here == nil || !g.Here.Bounded {
		return false
	}
	return g.Here.Low > g.High || g.Here.High < g.Low || g.InTurns && !g.OnAverage() && excludesZero(*g.Here)
}

func excludesZero(g verdict.Gain) bool { return g.Low > 0 || g.High < 0 }

// Effects returns the effect of each axis but num_ctx, the largest first and those without a difference last;
// nothing for a sweep of num_ctx and num_batch alone. v must be the verdict of cp.
func Effects(cp *checkpoint.Checkpoint, v Verdict) []Effect {
	if len(cp.Sweep.Axes) == 0 {
		return nil
	}
	cells := rated(cp)
	results := cp.ByCell()
	var all []Effect
	for _, axis := range cp.Grid().Axes()[1:] {
		if len(axis.Values) < 2 {
			continue
		}
		e := Effect{Axis: axis.Name}
		e.Value, _ = v.Recommended.Value(axis.Name)
		own := cell.Auto
		if axis.Name == cell.NumBatch {
			own = strconv.Itoa(ownBatches(cp)(v.Recommended.Key))
		}
		if slices.Contains(axis.Values, own) {
			e.Own = own
		}
		for _, other := range axis.Values {
			if other == e.Value {
				continue
			}
			if n := failures(cells, results, axis.Name, e.Value, other); n > 0 {
				e.Failing = append(e.Failing, ValueFailures{other, n})
			}
			if gain, ok := v.MeanGain(pairsOf(cells, axis.Name, e.Value, other)); ok {
				e.Over = append(e.Over, ValueGain{Other: other, Gain: gain, Here: gainHere(v, axis.Name, other)})
			} else if gain, ok := estimatedGain(cp, v, axis.Name, other); ok {
				e.Over = append(e.Over, ValueGain{Other: other, Gain: gain, Estimated: true})
			}
		}
		if axis.Name == cell.NumBatch && own != e.Value && v.Gain != nil && v.Gain.Bounded {
			e.addTurns(*v.Gain, own)
		}
		slices.SortStableFunc(e.Over, func(a, b ValueGain) int { return cmp.Compare(b.Ratio, a.Ratio) })
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b Effect) int { return cmp.Compare(b.size(), a.size()) })
	return all
}

// addTurns adds the gain of a baseline over the server's own num_batch.
func (e *Effect) addTurns(g verdict.Gain, own string) {
	i := slices.IndexFunc(e.Over, func(o ValueGain) bool { return o.Other == own && !o.Estimated })
	if i < 0 {
		e.Own = own
		e.Over = slices.DeleteFunc(e.Over, func(o ValueGain) bool { return o.Other == own })
		e.Over = append(e.Over, ValueGain{Other: own, Gain: g, Here: &g, InTurns: true})
		return
	}
	e.Over[i].Here, e.Over[i].InTurns = &g, true
}

// estimatedGain returns the gain over another value of a setting by the estimate of a search, false where it has
// none or recommends another cell.
func estimatedGain(cp *checkpoint.Checkpoint, v Verdict, setting, other string) (verdict.Gain, bool) {
	answer := cp.Sweep.Search
	if answer == nil || answer.Best != v.Recommended.Key {
		return verdict.Gain{}, false
	}
	for _, o := range answer.Others {
		if o.Setting == setting && o.Value == other {
			return verdict.Gain{Ratio: o.Gain, Low: o.Low, High: o.High, Bounded: true}, true
		}
	}
	return verdict.Gain{}, false
}

// failures counts the cells that work with the first value of an axis and fail with the other.
func failures(cells []verdict.Cell, results map[cell.Key]*checkpoint.Result, axis, value, other string) (n int) {
	for _, c := range cells {
		if at, _ := c.Value(axis); at != value {
			continue
		}
		if r := results[c.With(axis, other)]; r != nil && r.Failed() {
			n++
		}
	}
	return n
}

// gainHere returns how much faster the recommended cell is than the one with another value of an axis.
func gainHere(v Verdict, axis, other string) *verdict.Gain {
	gain, ok := v.GainOver(v.Recommended, verdict.Cell{Key: v.Recommended.With(axis, other)})
	if !ok {
		return nil
	}
	return &gain
}

// GainOver returns how much faster a value of an axis is than another one, over the cells that differ in nothing
// else; false where there are none. v must be the verdict of cp.
func GainOver(cp *checkpoint.Checkpoint, v Verdict, axis, value, other string) (verdict.Gain, bool) {
	return v.MeanGain(pairsOf(rated(cp), axis, value, other))
}

// pairsOf returns the pairs of cells with the two values of an axis that are equal on all others.
func pairsOf(cells []verdict.Cell, axis, value, other string) (pairs [][2]verdict.Cell) {
	of := make(map[cell.Key]verdict.Cell, len(cells))
	for _, c := range cells {
		of[c.Key] = c
	}
	for _, first := range cells {
		if at, _ := first.Value(axis); at != value {
			continue
		}
		if second, ok := of[first.With(axis, other)]; ok {
			pairs = append(pairs, [2]verdict.Cell{first, second})
		}
	}
	return pairs
}

// size is the largest difference, as the logarithm of a ratio; 0 where none is more than noise.
func (e Effect) size() (largest float64) {
	for _, g := range e.Over {
		if g.OnAverage() {
			largest = max(largest, math.Abs(math.Log1p(g.Ratio)))
		}
		if g.DiffersHere() {
			largest = max(largest, math.Abs(math.Log1p(g.Here.Ratio)))
		}
	}
	return largest
}
