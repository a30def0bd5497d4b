package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// mostGains is how many gains over other values are listed of an axis.
const mostGains = 3

// effectText describes how much an axis moves the rate: "num_gpu=40: +12 % (95 % 10 to 14) over 30".
func effectText(e sweep.Effect) string { return OneLine(effectName(e)) + ": " + gainsText(e) }

// effectName names the axis, and the value whose gains gainsText describes where there are any.
func effectName(e sweep.Effect) string {
	for _, g := range e.Over {
		if g.Differs() {
			return e.Axis + "=" + e.Value
		}
	}
	return e.Axis
}

// gainsText describes what the recommended value of an axis gains, and with which others cells fail.
func gainsText(e sweep.Effect) string {
	text := ratesOver(e)
	for i, f := range e.Failing {
		if i == mostGains {
			break
		}
		text += fmt.Sprintf("; %s with %s", english.Plural(f.Cells, "cell fails", "cells fail"), printable(f.Other))
	}
	return text
}

// ratesOver describes how much faster the recommended value of an axis is.
func ratesOver(e sweep.Effect) string {
	var gains, alike []string
	resolution := 0.0 // below which a difference from those alike would not show
	for _, g := range e.Over {
		name := otherName(e, g)
		switch {
		case !g.Differs():
			alike = append(alike, name)
			resolution = max(resolution, g.High, -g.Low)
		case g.Other == e.Own:
			gains = append([]string{gainText(g, name)}, gains...)
		default:
			gains = append(gains, gainText(g, name))
		}
	}
	if more := len(gains) - mostGains; more > 0 {
		gains = append(gains[:mostGains], "and "+english.Plural(more, "more value", ""))
	}
	switch {
	case len(e.Over) == 0:
		return "no cells to compare with that differ in nothing else"
	case len(gains) == 0 && resolution > sweep.Worth:
		return fmt.Sprintf("can't tell yet: differences below %s would not show", wholePercent(resolution))
	case len(gains) == 0:
		return fmt.Sprintf("no difference within %s", wholePercent(resolution))
	case len(alike) > 0 && resolution > sweep.Worth:
		gains = append(gains, fmt.Sprintf("no difference from %s was found, but one below %s would not show", list(alike), wholePercent(resolution)))
	case len(alike) > 0:
		gains = append(gains, fmt.Sprintf("no difference from %s within %s", list(alike), wholePercent(resolution)))
	}
	return strings.Join(gains, ", ")
}

func gainText(g sweep.ValueGain, name string) string {
	const withOthers, inTurns = " with the other recommended settings", ", measured in turns"
	all, here := rateOver(g.Gain, name), ""
	if g.Here != nil {
		here = gainFigures(*g.Here) + withOthers
	}
	if g.InTurns {
		here += inTurns
	}
	switch {
	case g.Estimated:
		return fmt.Sprintf("%s over %s, as the search estimates", gainFigures(g.Gain), name)
	case g.InTurns && (*g.Here == g.Gain || !g.OnAverage()):
		return rateOver(*g.Here, name) + inTurns
	case !g.OnAverage():
		return rateOver(*g.Here, name) + withOthers + ", though no difference was found on average"
	case g.Here != nil && (g.Depends() || g.Ratio < 0): // against the recommended value: perhaps within noise there
		return all + " on average, but " + here
	}
	return all
}

// rateOver describes a gain over another value: "+12 % (95 % 10 to 14) over 30".
func rateOver(g verdict.Gain, name string) string {
	relation := "over"
	if g.Ratio < 0 {
		relation = "against"
	}
	return fmt.Sprintf("%s %s %s", gainFigures(g), relation, name)
}

// gainFigures formats a gain with its interval: "+12 % (95 % 10 to 14)".
func gainFigures(g verdict.Gain) string {
	return fmt.Sprintf("%s (95 %% %s)", signedPercent(g.Ratio), percents(g))
}

// otherName names another value of an axis.
func otherName(e sweep.Effect, g sweep.ValueGain) string {
	other := printable(g.Other)
	if g.Other == e.Own && e.Axis == cell.NumBatch {
		return strings.TrimSuffix("the server's own "+other, " 0") // 0 where it is not known
	}
	return other
}

// printable returns a value of an axis as tables show it.
func printable(value string) string { return OneLine(value) }

// printEffects writes the effect of each axis, the largest first.
func printEffects(w io.Writer, effects []sweep.Effect) error {
	if len(effects) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintln(&b, "Settings that matter, the largest effect first:")
	for _, e := range effects {
		note(&b, "%s", effectText(e))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
