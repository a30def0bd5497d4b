// Package compare compares two sweeps: which cells became slower or faster, by how
// much, and whether the change is significant.
//
// Two checkpoints go in; a text for the terminal, a summary in Markdown and a
// picture come out. The package measures nothing; the statistics are in package
// verdict.
package compare

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Comparison is the comparison of a new sweep with an old one.
type Comparison struct {
	OldName, NewName string // of the folders or files
	// Identity lists the differences in what was swept, the most important first.
	Identity []Difference
	// Cells are those that have a rate on both sides, in column order.
	Cells []Cell
	Mean  verdict.Gain // over them, the geometric mean
	// FailNow had a rate and fail in the new sweep, FailBefore the other way round.
	// OnlyOld and OnlyNew have a rate in one sweep and were not measured in the other.
	FailNow, FailBefore, OnlyOld, OnlyNew []cell.Key
	// Disturbed are those of the Cells where, on one side, other programs used the machine during all
	// samples. The intervals include what that may have cost.
	Disturbed []cell.Key
	// OldDrift and NewDrift are the relative changes of the machine's speed during each sweep; 0 where
	// that is not known, or within noise. The intervals include both.
	OldDrift, NewDrift float64
	// Limit is the relative loss that is not a regression.
	Limit float64

	ctx, batch []int              // axes of both
	axes       []cell.SettingAxis // the other axes of both
	failed     []checkpoint.Result
	between    string  // the name of the axis whose values are compared; empty for two sweeps
	uncertain  float64 // relative difference that drift and disturbances may have caused in the mean
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

// Compare compares new with old. It returns an error where no cell has a rate on both
// sides. limit is the relative loss that is not a regression: 0.05 is 5 %.
func Compare(old, new *checkpoint.Checkpoint, limit float64) (*Comparison, error) {
	before, after := cell.NamesOf(old.Grid().Axes()), cell.NamesOf(new.Grid().Axes())
	if !slices.Equal(before, after) {
		return nil, fmt.Errorf("the sweeps have different axes: %s, and %s", strings.Join(before, ", "), strings.Join(after, ", "))
	}
	return compare(old, new, limit, scatterOf(old), scatterOf(new))
}

func compare(old, new *checkpoint.Checkpoint, limit float64, ofOld, ofNew scatter) (*Comparison, error) {
	c := &Comparison{Identity: identity(old.Sweep, new.Sweep), Limit: limit, OldDrift: ofOld.drift, NewDrift: ofNew.drift}
	var pairs []verdict.Comparison
	disturbed := 0.0 // sum of the logarithms over cells
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
	c.uncertain = (1+allowed)*math.Exp(disturbed/float64(len(c.Cells))) - 1
	c.Mean = verdict.MeanChange(c.inOrder(new)).Widened(c.uncertain)
	c.ctx, c.batch = cell.Axes(cells)
	c.axes = cell.Union(old.Sweep.Axes, new.Sweep.Axes)
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

// allCells returns the cells with a result on either side, in column order.
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

// pair returns the samples of a cell to compare: on each side the undisturbed ones, or all where there
// are none.
func pair(before, after *checkpoint.Result, oldNoise, newNoise float64) verdict.Comparison {
	old, slowedOld := undisturbed(before, oldNoise)
	new, slowedNew := undisturbed(after, newNoise)
	return verdict.Comparison{Old: old, New: new, Disturbed: (1+slowedOld)*(1+slowedNew) - 1}
}

// undisturbed returns the undisturbed samples. Where all are disturbed it returns all of them, and by
// how much, relative, their rates may be too low.
func undisturbed(r *checkpoint.Result, noise float64) (rates []float64, slowed float64) {
	if rates := sweep.Undisturbed(r, noise); len(rates) > 0 {
		return rates, 0
	}
	most := 0.0
	for _, s := range r.Samples {
		if check.Busy(s) != "" {
			most = math.Max(most, check.OthersShare(s))
		}
	}
	const nearlyAll = 0.9
	most = math.Min(most, nearlyAll)
	return r.SampleRates(), most / (1 - most) // relative to the share that was left to the server
}

// scatter is the variation of a sweep's rates that is not due to settings.
type scatter struct {
	noise float64 // relative standard deviation of a sample, 0 where it is not known
	// drift is the relative change of the machine's speed during the sweep, from the reference cell or
	// the leading cells that were measured again; 0 where it is within noise.
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
	if v.MachineChange != nil && math.Abs(v.MachineChange.Ratio) > math.Abs(s.drift) {
		s.drift = v.MachineChange.Ratio
	}
	return s
}

// allowance returns the relative difference that the drifts of both sides may cause.
func allowance(drifts ...float64) float64 {
	var sum float64
	for _, d := range drifts {
		sum += math.Abs(math.Log1p(d))
	}
	return math.Expm1(sum)
}

// identity returns the fields in which two sweeps differ, of those that both have.
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

// promptTokens returns the lengths of the prompts where they differ. They can differ for the
// same prompt: a prompt of a given size depends on the server's tokenizer, and the length
// includes the server's template.
func promptTokens(cells []Cell, olds, news map[cell.Key]*checkpoint.Result) (Difference, bool) {
	var before, after []int
	for _, c := range cells {
		a, b := olds[c.Key], news[c.Key]
		if len(a.Samples) == 0 || len(b.Samples) == 0 { // of an older version
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

// span formats the range of figures.
func span(figures []int) string {
	least, most := slices.Min(figures), slices.Max(figures)
	if least == most {
		return strconv.Itoa(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// Regressed returns the cells that are significantly slower by more than the limit,
// those with the largest loss first.
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

// MeanRegressed reports whether the mean is significantly slower by more than the
// limit.
func (c *Comparison) MeanRegressed() bool { return c.Mean.Bounded && c.Mean.High < -c.Limit }

// Failed reports whether there is a regression: a cell or the mean is slower by more
// than the limit, or a cell that had a rate fails.
func (c *Comparison) Failed() bool {
	return len(c.Regressed()) > 0 || c.MeanRegressed() || len(c.FailNow) > 0
}

// significant returns the cells with a significant change, the largest change first.
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

// tooFew counts the cells that have too few samples for a change of a single cell to
// be significant, and returns how many samples are needed on each side.
func (c *Comparison) tooFew() (cells, needed int) {
	for _, cell := range c.Cells {
		if !verdict.EnoughSamples(cell.NOld, cell.NNew, len(c.Cells)) {
			cells++
		}
	}
	return cells, verdict.SamplesNeeded(len(c.Cells))
}

// classOf returns the failure class of a cell in the new sweep.
func (c *Comparison) classOf(cell cell.Key) measurement.Class {
	i := slices.IndexFunc(c.failed, func(r checkpoint.Result) bool { return r.Cell() == cell })
	return *c.failed[i].Error
}
