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
const disturbedText = "in doubt: something else than the settings may have made the rate"

// disturbances is what something else than their settings did to cells.
type disturbances struct {
	standing map[cell.Key]sweep.Disturbed // cells with samples in doubt that count
	busy     []cell.Key                   // in which the machine was seen to be busy, also in samples that are set aside
	again    []cell.Key                   // measured again
	most     string                       // what used the machine most
	measured int                          // cells with a rate
}

// disturbances looks through the cells of the grid.
func (g *grid) disturbances() disturbances {
	d := disturbances{standing: make(map[cell.Key]sweep.Disturbed)}
	if v, ok := g.verdict(); ok {
		for _, c := range sweep.FindDisturbed(g.cp, v) {
			d.standing[c.Key] = c
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
			d.again = append(d.again, r.Cell())
		}
		busy := false
		for _, s := range slices.Concat(r.Samples, r.SetAside) {
			text := check.Busy(s)
			busy = busy || text != ""
			if share := check.Taken(s); text != "" && (d.most == "" || share > used) {
				d.most, used = text, share
			}
		}
		if busy {
			d.busy = append(d.busy, r.Cell())
		}
	}
	return d
}

// text says it in a sentence, and is empty where nothing was disturbed.
func (d disturbances) text() string {
	var parts []string
	if n := len(d.busy); n > 0 {
		parts = append(parts, fmt.Sprintf("the machine was busy in %d of %d cells (%s)", n, d.measured, d.most))
	}
	if n := d.far(); n > 0 {
		parts = append(parts, english.Plural(n, "cell was", "cells were")+" far from what the others let expect")
	}
	if n := len(d.again); n > 0 {
		parts = append(parts, fmt.Sprintf("%d measured again", n))
	}
	if n := len(d.standing); n > 0 {
		parts = append(parts, fmt.Sprintf("%d in doubt: once nothing else runs, -redo measures them again", n))
	}
	return strings.Join(parts, "; ")
}

// far counts the cells that only their rates tell of.
func (d disturbances) far() int {
	far := make(map[cell.Key]bool)
	for c := range d.standing {
		far[c] = true
	}
	for _, c := range d.again {
		far[c] = true
	}
	for _, c := range d.busy {
		delete(far, c)
	}
	return len(far)
}

// cells names those in doubt, empty where there are none.
func (d disturbances) cells() string {
	var cells []cell.Key
	for c := range d.standing {
		cells = append(cells, c)
	}
	slices.SortFunc(cells, cell.Key.Compare)
	if len(cells) == 0 {
		return ""
	}
	return cell.Names(cells)
}

func (d disturbances) has(c cell.Key) bool {
	_, ok := d.standing[c]
	return ok
}

// doubtLines says of a cell's samples which are in doubt and which were replaced.
func (d disturbances) doubtLines(r *checkpoint.Result) []string {
	var lines []string
	if c, ok := d.standing[r.Cell()]; ok {
		for _, i := range c.Samples {
			rate, _ := r.Samples[i].PromptEvalRate()
			why := check.Busy(r.Samples[i])
			if why == "" {
				why = "it lies far from what the others let expect"
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
		lines = append(lines, fmt.Sprintf("set aside, as they were in doubt: %s", ratesText(aside)))
	}
	return lines
}
