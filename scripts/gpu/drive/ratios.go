package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// readingsHeader is the header of the file of all readings.
var readingsHeader = []string{"model", "flash_attention", "load_num_ctx", "load_num_batch", "num_batch", "way", "depth", "tokens", "seconds", "rate", "verified", "begun"}

func (r reading) row() []string {
	return []string{r.model, r.flash.String(), strconv.Itoa(r.numCtx), strconv.Itoa(r.numBatch), strconv.Itoa(r.batch), r.way, strconv.Itoa(r.depth),
		strconv.Itoa(r.tokens), strconv.FormatFloat(r.duration.Seconds(), 'f', 6, 64), decimal(r.rate(), 2), strconv.FormatBool(r.verified), r.begun.UTC().Format(time.RFC3339Nano)}
}

// ratio compares a probe's rate with the rates of direct loads.
type ratio struct {
	model           string
	flash           flash
	batch           int
	way             string
	depth, tokens   int
	seconds         float64 // median, like the rates
	rate            float64
	direct, whole   float64 // rates of a load with num_batch=batch: of the same tokens, and of a whole prompt; 0 if not measured
	probes, directs int     // number of readings
	verified        bool
}

var ratiosHeader = []string{"model", "flash_attention", "num_batch", "way", "depth", "tokens", "seconds", "rate", "direct_rate", "ratio", "whole_rate", "whole_ratio", "probe_readings", "direct_readings", "verified"}

func (r ratio) row() []string {
	return []string{r.model, r.flash.String(), strconv.Itoa(r.batch), r.way, strconv.Itoa(r.depth), strconv.Itoa(r.tokens), strconv.FormatFloat(r.seconds, 'f', 6, 64),
		decimal(r.rate, 2), decimal(r.direct, 2), decimal(quotient(r.rate, r.direct), 4), decimal(r.whole, 2), decimal(quotient(r.rate, r.whole), 4),
		strconv.Itoa(r.probes), strconv.Itoa(r.directs), strconv.FormatBool(r.verified)}
}

// quotient returns a/b, or 0 if b is 0.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// decimal formats a figure. 0, which means not measured, is blank.
func decimal(v float64, digits int) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// ratios compares the readings of loads with num_batch=probeLoad with those of direct loads, in the order
// of the readings.
func ratios(readings []reading, probeLoad int) []ratio {
	var all []ratio
	for _, r := range readings {
		seen := slices.ContainsFunc(all, func(q ratio) bool {
			return q.model == r.model && q.flash == r.flash && q.batch == r.batch && q.way == r.way
		})
		if seen || r.way == wayWhole || r.numBatch != probeLoad {
			continue
		}
		all = append(all, ratioOf(readings, r))
	}
	return all
}

func ratioOf(readings []reading, probe reading) ratio {
	q := ratio{model: probe.model, flash: probe.flash, batch: probe.batch, way: probe.way, depth: probe.depth, tokens: probe.tokens, verified: true}
	like := probe.way
	if like == wayPieces {
		like = wayWhole
	}
	var probes, seconds, directs, wholes []float64
	for _, r := range readings {
		if r.model != probe.model || r.flash != probe.flash || r.batch != probe.batch {
			continue
		}
		// At the load's own num_batch, a probe and a direct reading are the same, except for pieces.
		isDirect := r.numBatch == r.batch && (probe.batch != probe.numBatch || like == wayWhole)
		if r.way == probe.way && r.numBatch == probe.numBatch {
			probes, seconds = append(probes, r.rate()), append(seconds, r.duration.Seconds())
			q.verified = q.verified && r.verified
		}
		if isDirect && r.way == like {
			directs = append(directs, r.rate())
		}
		if r.numBatch == r.batch && r.way == wayWhole {
			wholes = append(wholes, r.rate())
		}
	}
	q.probes, q.directs = len(probes), len(directs)
	q.rate, q.seconds, q.direct, q.whole = verdict.Median(probes), verdict.Median(seconds), verdict.Median(directs), verdict.Median(wholes)
	return q
}

// writeRatios writes ratios as CSV.
func writeRatios(w io.Writer, all []ratio) error {
	out := csv.NewWriter(w)
	out.Write(ratiosHeader)
	for _, r := range all {
		out.Write(r.row())
	}
	out.Flush()
	return out.Error()
}

// table formats the ratios, a line for each num_batch: to the rate of the same tokens in a direct load
// and, in parentheses, to the rate of a whole prompt.
func table(all []ratio) []string {
	var text []string
	for i, r := range all {
		if i == 0 || r.model != all[i-1].model || r.flash != all[i-1].flash {
			text = append(text, fmt.Sprintf("%s, flash attention %s:", r.model, r.flash),
				fmt.Sprintf("  %9s %12s %18s %18s %18s", "num_batch", "direct", wayStart, wayMiddle, wayPieces))
		}
		if i > 0 && r.model == all[i-1].model && r.flash == all[i-1].flash && r.batch == all[i-1].batch {
			continue
		}
		line := fmt.Sprintf("  %9d %12s", r.batch, cmp.Or(decimal(r.whole, 1), "---"))
		for _, way := range []string{wayStart, wayMiddle, wayPieces} {
			line += fmt.Sprintf(" %18s", formatRatio(all, r, way))
		}
		text = append(text, line)
	}
	return text
}

// formatRatio formats the ratio of another way with the model, flash attention and num_batch of like. A
// question mark means that the log did not confirm the number of tokens.
func formatRatio(all []ratio, like ratio, way string) string {
	for _, r := range all {
		if r.model == like.model && r.flash == like.flash && r.batch == like.batch && r.way == way && r.direct > 0 {
			text := fmt.Sprintf("%.3f (%.3f)", quotient(r.rate, r.direct), quotient(r.rate, r.whole))
			if !r.verified {
				text += "?"
			}
			return text
		}
	}
	return "---"
}
