package compare

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Axis compares the values of an axis within a sweep, over the cells that differ in nothing else: each value
// with auto or, where that is none, with the first value. A value without such cells is left out. It returns
// an error where no axis besides num_ctx and num_batch has the name, or there is nothing to compare.
func Axis(cp *checkpoint.Checkpoint, name string) ([]*Comparison, error) {
	axes := cp.Sweep.Axes
	at := slices.IndexFunc(axes, func(a cell.SettingAxis) bool { return a.Name == name })
	switch {
	case len(axes) == 0:
		return nil, errors.New("the sweep has no axes besides num_ctx and num_batch, which the report compares")
	case at < 0:
		return nil, fmt.Errorf("the sweep has no axis %q besides num_ctx and num_batch, which the report compares: choose one of %s", name, strings.Join(cell.NamesOf(axes), ", "))
	}
	axis := axes[at]
	first := axis.Values[max(0, slices.Index(axis.Values, cell.Auto))]
	all := scatterOf(cp)
	if !axis.Server() {
		all.drift = 0 // values of options take turns, so that a drift affects all of them
	}
	counted := sweep.WithoutDisturbed(cp, all.noise)
	v, _ := sweep.VerdictOf(counted)
	var comparisons []*Comparison
	for _, value := range axis.Values {
		gain, ok := sweep.GainOver(counted, v, name, value, first)
		if value == first || !ok {
			continue
		}
		c, err := compare(only(cp, name, first), only(cp, name, value), 0, all, scatter{noise: all.noise})
		if err != nil {
			return nil, err
		}
		c.between, c.OldName, c.NewName = name, name+"="+report.OneLine(first), name+"="+report.OneLine(value)
		c.Mean = gain.Widened(c.uncertain)
		comparisons = append(comparisons, c)
	}
	if len(comparisons) == 0 {
		return nil, fmt.Errorf("no two cells that differ in %s alone have a rate: there is nothing to compare", name)
	}
	return comparisons, nil
}

// only returns the part of a checkpoint with one value of an axis, as a sweep without that axis.
func only(cp *checkpoint.Checkpoint, axis, value string) *checkpoint.Checkpoint {
	part := &checkpoint.Checkpoint{Version: cp.Version, Sweep: cp.Sweep}
	part.Sweep.Axes = slices.DeleteFunc(slices.Clone(cp.Sweep.Axes), func(a cell.SettingAxis) bool { return a.Name == axis })
	for _, r := range cp.Results {
		c := r.Cell()
		if v, _ := c.Value(axis); v != value {
			continue
		}
		c.Settings = c.Settings.Without(axis)
		r.SetCell(c)
		part.Results = append(part.Results, r)
	}
	return part
}

// betweenText says how much slower or faster the second value of an axis is.
func (c *Comparison) betweenText() string {
	g, relation := c.Mean, "faster"
	if g.Ratio < 0 {
		relation = "slower"
		g = verdict.Gain{Ratio: -g.Ratio, Low: -g.High, High: -g.Low}
	}
	text := fmt.Sprintf("%s is %.1f %% %s than %s (95 %% %.1f to %.1f)", c.NewName, 100*g.Ratio, relation, c.OldName, 100*g.Low, 100*g.High)
	if c.Mean.Low <= 0 && c.Mean.High >= 0 {
		text += ": no difference was found"
	}
	return text
}

// The words for groups of cells, which depend on what is compared.

func (c *Comparison) failNowName() string {
	if c.between != "" {
		return "Failing with " + c.NewName + " only"
	}
	return "Newly failing"
}

func (c *Comparison) failBeforeName() string {
	if c.between != "" {
		return "Failing with " + c.OldName + " only"
	}
	return "No longer failing"
}

// onlyName names the cells of one side, the old or the new one, that the other has not measured.
func (c *Comparison) onlyName(side, name string) string {
	if c.between != "" {
		return "Measured with " + name + " only"
	}
	return "Only in the " + side + " sweep"
}
