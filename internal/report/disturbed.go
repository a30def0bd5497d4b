package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// disturbedText explains the mark of a cell whose rate is in doubt.
const disturbedText = "in doubt: something other than the settings may have changed the rate"

// disturbances are the cells that something other than their settings has disturbed.
type disturbances struct {
	doubtful   map[cell.Key]sweep.Disturbed // cells with samples in doubt that still count
	busy       []cell.Key                   // cells with a sample, used or set aside, during which the machine was busy
	remeasured []cell.Key                   // cells that were measured again
	most       string                       // the largest use of the machine by others
	measured   int                          // number of cells with a rate
}

// disturbances collects the disturbances of all cells of the grid.
func (g *grid) disturbances() disturbances {
	d := disturbances{doubtful: make(map[cell.Key]sweep.Disturbed)}
	if v, ok := g.verdict(); ok {
		for _, c := range sweep.FindDisturbed(g.cp, v) {
			d.doubtful[c.Key] = c
		}
	}
	used := 0.0
	for i := range g.cp.Results {
		r := &g.cp.Results[i]
		if at, _ := g.at(r.Cell()); at != measured {
			continue
		}
		d.measured++
		if len(r.SetAside) > 0 {
			d.remeasured = append(d.remeasured, r.Cell())
		}
		busy := false
		for _, s := range slices.Concat(r.Samples, r.SetAside) {
			text := check.Busy(s)
			busy = busy || text != ""
			if share := check.OthersShare(s); text != "" && (d.most == "" || share > used) {
				d.most, used = text, share
			}
		}
		if busy {
			d.busy = append(d.busy, r.Cell())
		}
	}
	return d
}

// text describes the disturbances in a sentence. It is empty where there were none.
func (d disturbances) text() string {
	var parts []string
	if n := len(d.busy); n > 0 {
		parts = append(parts, fmt.Sprintf("the machine was busy in %d of %d cells (%s)", n, d.measured, d.most))
	}
	if n := d.far(); n > 0 {
		parts = append(parts, english.Plural(n, "cell was", "cells were")+" far from the rate expected from the others")
	}
	if n := len(d.remeasured); n > 0 {
		parts = append(parts, fmt.Sprintf("%d measured again", n))
	}
	if n := len(d.doubtful); n > 0 {
		parts = append(parts, fmt.Sprintf("%d in doubt: measure again with -redo while nothing else uses the machine", n))
	}
	return strings.Join(parts, "; ")
}

// far is the number of cells that were found by their rates alone, not by a busy machine.
func (d disturbances) far() int {
	far := make(map[cell.Key]bool)
	for c := range d.doubtful {
		far[c] = true
	}
	for _, c := range d.remeasured {
		far[c] = true
	}
	for _, c := range d.busy {
		delete(far, c)
	}
	return len(far)
}

// cells lists the cells in doubt. It is empty where there are none.
func (d disturbances) cells() string {
	var cells []cell.Key
	for c := range d.doubtful {
		cells = append(cells, c)
	}
	slices.SortFunc(cells, cell.Key.Compare)
	if len(cells) == 0 {
		return ""
	}
	return cell.Names(cells)
}

func (d disturbances) has(c cell.Key) bool {
	_, ok := d.doubtful[c]
	return ok
}

// doubtLines lists the samples of a cell that are in doubt, and those that were replaced.
func (d disturbances) doubtLines(r *checkpoint.Result) []string {
	var lines []string
	if c, ok := d.doubtful[r.Cell()]; ok {
		for _, i := range c.Samples {
			rate, _ := r.Samples[i].PromptEvalRate()
			why := check.Busy(r.Samples[i])
			if why == "" {
				why = "far from the rate expected from the other cells"
			}
			lines = append(lines, fmt.Sprintf("in doubt: %s tokens/s: %s", rateText(rate), why))
		}
	}
	var aside []float64
	for _, s := range r.SetAside {
		if rate, ok := s.PromptEvalRate(); ok {
			aside = append(aside, rate)
		}
	}
	if len(aside) > 0 {
		lines = append(lines, fmt.Sprintf("set aside, because they were in doubt: %s", ratesText(aside)))
	}
	return lines
}
