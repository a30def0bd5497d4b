// Package compare holds two sweeps against each other: which cells became slower
// or faster, by how much, and whether that can be told from noise.
//
// Two checkpoints go in; a text for the terminal, a summary in Markdown and a
// picture come out. Nothing here measures. What samples can tell is package
// verdict's to say.
package compare

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Comparison is an old sweep held against a new one.
type Comparison struct {
	OldName, NewName string // of the folders or files
	// Identity names what differs between what was swept, the most telling first.
	Identity []Difference
	// Cells are those that have a rate on both sides, in column order.
	Cells []Cell
	Mean  verdict.Gain // over them, the geometric mean
	// FailNow had a rate and fail, FailBefore the other way round. OnlyOld and
	// OnlyNew have a rate there and were not measured here.
	FailNow, FailBefore, OnlyOld, OnlyNew []cell.Key
	// Disturbed are those of the Cells that have on one side no samples but such that were taken while
	// the machine was busy with something else: what that may have cost is allowed for.
	Disturbed []cell.Key
	// OldDrift and NewDrift are how the machine changed while either sweep ran, relative; 0 where
	// that is not known, or not more than noise. What both come to is allowed for.
	OldDrift, NewDrift float64
	// Limit is the relative loss that is let pass.
	Limit float64

	ctx, batch []int // the axes of both
	failed     []checkpoint.Result
}

// Cell is a cell that has a rate on both sides.
type Cell struct {
	cell.Key
	Old, New   float64 // medians in tokens per second
	NOld, NNew int     // samples
	verdict.Change
}

// Difference is a field of a sweep's identity that differs.
type Difference struct{ Field, Old, New string }

// Compare holds new against old. It is an error where no cell has a rate on both
// sides. limit is the relative loss that is let pass: 0.05 is 5 %.
func Compare(old, new *checkpoint.Checkpoint, limit float64) (*Comparison, error) {
	ofOld, ofNew := scatterOf(old), scatterOf(new)
	c := &Comparison{Identity: identity(old.Sweep, new.Sweep), Limit: limit, OldDrift: ofOld.drift, NewDrift: ofNew.drift}
	var pairs []verdict.Pair
	disturbed := 0.0 // log of it, summed over cells
	cells := allCells(old, new)
	olds, news := old.ByCell(), new.ByCell()
	for _, cell := range cells {
		before, after := olds[cell], news[cell]
		switch rated, now := hasRate(before), hasRate(after); {
		case rated && now:
			p := pair(before, after, ofOld.noise, ofNew.noise)
			if p.Disturbed > 0 {
				c.Disturbed = append(c.Disturbed, cell)
			}
			disturbed += math.Log1p(p.Disturbed)
			pairs = append(pairs, p)
			c.Cells = append(c.Cells, Cell{Key: cell, Old: verdict.Median(p.Old), New: verdict.Median(p.New), NOld: len(p.Old), NNew: len(p.New)})
		case rated && after != nil:
			c.FailNow = append(c.FailNow, cell)
		case now && before != nil:
			c.FailBefore = append(c.FailBefore, cell)
		case rated:
			c.OnlyOld = append(c.OnlyOld, cell)
		case now:
			c.OnlyNew = append(c.OnlyNew, cell)
		}
		if after != nil && after.Failed() {
			c.failed = append(c.failed, *after)
		}
	}
	if d, ok := promptTokens(c.Cells, olds, news); ok {
		c.Identity = append(c.Identity, d)
	}
	if len(c.Cells) == 0 {
		return nil, errors.New("no cell has a rate in both sweeps: there is nothing to compare")
	}
	allowed := allowance(c.OldDrift, c.NewDrift)
	changes := verdict.Changes(pairs, limit, allowed)
	for i := range changes {
		c.Cells[i].Change = changes[i]
	}
	c.Mean = verdict.MeanChange(c.inOrder(new)).Widened((1+allowed)*math.Exp(disturbed/float64(len(c.Cells))) - 1)
	c.ctx, c.batch = cell.Axes(cells)
	return c, nil
}

// inOrder returns the changes in the order in which the new sweep measured them.
func (c *Comparison) inOrder(new *checkpoint.Checkpoint) []verdict.Change {
	of := make(map[cell.Key]verdict.Change, len(c.Cells))
	for _, cell := range c.Cells {
		of[cell.Key] = cell.Change
	}
	var changes []verdict.Change
	for i := range new.Results {
		if change, ok := of[new.Results[i].Cell()]; ok {
			changes = append(changes, change)
		}
	}
	return changes
}

// allCells returns the cells of which there is a result on either side, in column
// order.
func allCells(old, new *checkpoint.Checkpoint) []cell.Key {
	var cells []cell.Key
	for _, cp := range []*checkpoint.Checkpoint{old, new} {
		for i := range cp.Results {
			cells = append(cells, cp.Results[i].Cell())
		}
	}
	slices.SortFunc(cells, cell.Key.Compare)
	return slices.Compact(cells)
}

func hasRate(r *checkpoint.Result) bool { return r != nil && r.PromptEvalRate != nil }

// pair returns what is compared of a cell: on each side the samples that are not in doubt, or all of
// them where there are none.
func pair(before, after *checkpoint.Result, oldNoise, newNoise float64) verdict.Pair {
	old, slowedOld := undisturbed(before, oldNoise)
	new, slowedNew := undisturbed(after, newNoise)
	return verdict.Pair{Old: old, New: new, Disturbed: (1+slowedOld)*(1+slowedNew) - 1}
}

// undisturbed also returns by how much the rates may be too low, relative, where all samples are
// disturbed.
func undisturbed(r *checkpoint.Result, noise float64) (rates []float64, slowed float64) {
	if rates := sweep.Undisturbed(r, noise); len(rates) > 0 {
		return rates, 0
	}
	most := 0.0
	for _, s := range r.Samples {
		if check.Busy(s) != "" {
			most = math.Max(most, check.Taken(s))
		}
	}
	const nearlyAll = 0.9
	most = math.Min(most, nearlyAll)
	return r.SampleRates(), most / (1 - most) // of what the others left
}

// scatter is what a sweep's rates differ by that is not its settings.
type scatter struct {
	noise float64 // relative standard deviation of a sample, 0 where it is not known
	// drift is how the machine changed while the sweep ran, relative: by the reference cell, or by the
	// leading cells that were measured again, where that is more than noise.
	drift float64
}

func scatterOf(cp *checkpoint.Checkpoint) (s scatter) {
	if d, ok := sweep.Drift(cp); ok && d.Significant {
		s.drift = d.Change
	}
	v, ok := sweep.VerdictOf(cp)
	if !ok {
		return s
	}
	s.noise = v.KnownNoise()
	if v.Changed != nil && math.Abs(v.Changed.Ratio) > math.Abs(s.drift) {
		s.drift = v.Changed.Ratio
	}
	return s
}

// allowance is the difference that drifts of both sides may make.
func allowance(drifts ...float64) float64 {
	var sum float64
	for _, d := range drifts {
		sum += math.Abs(math.Log1p(d))
	}
	return math.Expm1(sum)
}

// identity returns the fields in which two sweeps differ, as far as both name them.
func identity(old, new checkpoint.Header) []Difference {
	traits := func(h checkpoint.Header) []checkpoint.Trait {
		return append(h.Identity(), append(h.Place.Traits(), checkpoint.Trait{Name: "attention", Value: h.Attention}, checkpoint.Trait{Name: "quantization", Value: h.Quantization})...)
	}
	var differ []Difference
	new.Place = new.Place.AsSeenFrom(old.Place)
	before, after := traits(old), traits(new)
	for i, trait := range before {
		other := after[i]
		if trait.Value == "" || other.Value == "" || !trait.Differs(other) {
			continue
		}
		a, b := trait.Value, other.Value
		if trait.Text != "" || other.Text != "" {
			a, b = trait.Shown(other)
		}
		differ = append(differ, Difference{trait.Name, a, b})
	}
	return differ
}

// promptTokens names the lengths of the prompts where they differ, which they can under
// one prompt: sizes are made with what the server's tokenizer counts, and a server's
// template is in them.
func promptTokens(cells []Cell, olds, news map[cell.Key]*checkpoint.Result) (Difference, bool) {
	var before, after []int
	for _, c := range cells {
		a, b := olds[c.Key], news[c.Key]
		if len(a.Samples) == 0 || len(b.Samples) == 0 { // of an older tool
			continue
		}
		if was, is := a.Samples[0].PromptEvalCount, b.Samples[0].PromptEvalCount; was != is {
			before, after = append(before, was), append(after, is)
		}
	}
	if len(before) == 0 {
		return Difference{}, false
	}
	return Difference{"prompt tokens", span(before), span(after)}, true
}

// span names the least and the most of figures.
func span(figures []int) string {
	least, most := slices.Min(figures), slices.Max(figures)
	if least == most {
		return strconv.Itoa(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// Regressed returns the cells that are slower by more than the limit with
// significance, the slowest first.
func (c *Comparison) Regressed() []Cell {
	var slower []Cell
	for _, cell := range c.Cells {
		if cell.Slower {
			slower = append(slower, cell)
		}
	}
	slices.SortStableFunc(slower, func(a, b Cell) int { return cmp.Compare(a.Ratio, b.Ratio) })
	return slower
}

// MeanRegressed reports whether the mean is slower by more than the limit with
// significance.
func (c *Comparison) MeanRegressed() bool { return c.Mean.Bounded && c.Mean.High < -c.Limit }

// Failed reports whether the new sweep is worse than the limit lets pass: a cell or
// the mean is slower, or a cell fails that had a rate.
func (c *Comparison) Failed() bool {
	return len(c.Regressed()) > 0 || c.MeanRegressed() || len(c.FailNow) > 0
}

// significant returns the cells whose change is, the largest first.
func (c *Comparison) significant() []Cell {
	var cells []Cell
	for _, cell := range c.Cells {
		if cell.Significant {
			cells = append(cells, cell)
		}
	}
	slices.SortStableFunc(cells, func(a, b Cell) int { return cmp.Compare(size(b), size(a)) })
	return cells
}

func size(c Cell) float64 { return max(c.Ratio, -c.Ratio) }

// tooFew counts the cells whose samples are too few to find them slower by
// themselves, and returns how many a side are needed.
func (c *Comparison) tooFew() (cells, needed int) {
	for _, cell := range c.Cells {
		if !verdict.CanTell(cell.NOld, cell.NNew, len(c.Cells)) {
			cells++
		}
	}
	return cells, verdict.SamplesToTell(len(c.Cells))
}

// classOf returns why a cell fails now.
func (c *Comparison) classOf(cell cell.Key) measurement.Class {
	i := slices.IndexFunc(c.failed, func(r checkpoint.Result) bool { return r.Cell() == cell })
	return *c.failed[i].Error
}
