package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// pageMetric is a figure that the heatmap of the page can show.
type pageMetric struct {
	Name   string `json:"name"`
	Unit   string `json:"unit"`
	Digits int    `json:"digits"` // after the decimal point
	of     func(*checkpoint.Result) (float64, bool)
}

// pageMetrics are the figures to choose from; the first is the default.
var pageMetrics = []pageMetric{
	{"Prompt rate", "tokens/s", 1, func(r *checkpoint.Result) (float64, bool) { return *r.PromptEvalRate, true }},
	{"Generation rate", "tokens/s", 1, evalRate},
	{"Load time", "s", 2, func(r *checkpoint.Result) (float64, bool) { d := r.LoadDuration(); return d.Seconds(), d > 0 }},
	{"GPU memory", "GB", 3, func(r *checkpoint.Result) (float64, bool) { return gb(r.SizeVRAM), r.Size > 0 }},
	{"Spread of the samples", "%", 1, func(r *checkpoint.Result) (float64, bool) {
		in, ok := verdict.IntervalOf(r.SampleRates())
		return 100 * in.Spread, ok && in.N > 1
	}},
}

func gb(bytes int64) float64 { return float64(bytes) / 1e9 }

// evalRate returns the median of the samples' generated tokens per second.
func evalRate(r *checkpoint.Result) (float64, bool) {
	var rates []float64
	for _, s := range r.Samples {
		if rate, ok := s.EvalRate(); ok {
			rates = append(rates, rate)
		}
	}
	return verdict.Median(rates), len(rates) > 0
}

// pageMark is a sign that distinguishes cells without colour.
type pageMark struct{ Sign, Meaning string }

// markOrder is the order of the signs in the legend.
var markOrder = []string{"★", "◎", "≈", "^", "!", "?", "✗", "~", "·"}

// marks returns the signs of a cell, the most important one first.
func (g *grid) marks(c cell.Key, verdict string) []pageMark {
	at, r := g.at(c)
	var marks []pageMark
	switch at {
	case failed:
		marks = append(marks, pageMark{"✗", "failed"})
	case missing:
		marks = append(marks, pageMark{"·", g.missingText()})
	case pruned:
		marks = append(marks, pageMark{"~", prunedText})
	}
	for _, m := range []pageMark{{"★", "best"}, {"◎", "recommended"}, {"≈", "tied"}, {"^", "fastest of its num_ctx"}} {
		if strings.Contains(verdict, m.Meaning) {
			marks = append(marks, m)
		}
	}
	if at == measured && g.spilled(r) {
		marks = append(marks, pageMark{"!", spilledText})
	}
	if g.disturbed().has(c) {
		marks = append(marks, pageMark{"?", disturbedText})
	}
	return marks
}

// pageCell returns the data of a cell for the page.
func (g *grid) pageCell(c cell.Key, x, y int, verdict string) pageCell {
	at, r := g.at(c)
	cell := pageCell{X: x, Y: y, State: stateNames[at], Text: g.cellText(c, verdict)}
	for _, m := range g.marks(c, verdict) {
		cell.Marks += m.Sign
	}
	if at != measured {
		return cell
	}
	cell.Interval = interval(r)
	for _, m := range pageMetrics {
		var value *float64
		if x, ok := m.of(r); ok {
			value = &x
		}
		cell.Values = append(cell.Values, value)
	}
	return cell
}

// cellText returns all details of a cell, in lines.
func (g *grid) cellText(c cell.Key, verdictText string) []string {
	at, r := g.at(c)
	lines := []string{c.Text()}
	if verdictText != "" {
		lines[0] += ": " + verdictText
	}
	switch at {
	case leftOut:
		return append(lines, leftOutText)
	case notPlanned:
		return append(lines, notPlannedText)
	case missing:
		return append(lines, g.missingText())
	case pruned:
		return append(lines, prunedText, "out of memory: "+g.pruned[c].Text())
	case failed:
		lines = append(lines, failureLine(r))
	case measured:
		lines = append(lines, "prompt: "+rateText(*r.PromptEvalRate)+" tokens/s"+intervalText(r))
	}
	lines = append(lines, figureLines(r)...)
	if rates := g.again[c]; len(rates) > 0 {
		lines = append(lines, fmt.Sprintf("measured again, in turns with other cells: %s, median %s", ratesText(rates), rateText(verdict.Median(rates))))
	}
	if at == measured && g.spilled(r) {
		lines = append(lines, spilledText)
	}
	lines = append(lines, g.disturbed().doubtLines(r)...)
	for _, text := range r.Warnings {
		lines = append(lines, "warning: "+OneLine(text))
	}
	return lines
}

func failureLine(r *checkpoint.Result) string {
	line := "failed: " + OneLine(string(*r.Error))
	if r.Detail != "" {
		line += ": " + OneLine(r.Detail)
	}
	return line
}

// figureLines returns the figures of a cell other than its rate, in lines.
func figureLines(r *checkpoint.Result) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if rates := r.SampleRates(); len(rates) > 0 {
		add("samples: %s", ratesText(rates))
		if s := r.Samples[0]; s.PromptEvalCount > 0 {
			line := fmt.Sprintf("prompt length: %d tokens", s.PromptEvalCount)
			if s.PromptCached != nil && *s.PromptCached > 0 {
				line += fmt.Sprintf(", %d of them from the server's cache", *s.PromptCached)
			}
			lines = append(lines, line)
		}
	}
	for _, p := range r.ProbeRates() {
		add("passes of %d tokens: %s (%s)", p.NumBatch, ratesText(p.Rates), english.PluralWord(len(p.Rates), "probe", ""))
	}
	if rate, ok := evalRate(r); ok {
		add("generation: %.1f tokens/s", rate)
	}
	if d := r.LoadDuration(); d > 0 {
		add("load: %.3g s", d.Seconds())
	}
	if r.Size > 0 {
		add("memory: %.3g GB, %.3g GB of it on GPUs", gb(r.Size), gb(r.SizeVRAM))
	}
	if r.Memory != nil {
		lines = append(lines, memoryLines(r.Memory)...)
	}
	if r.Settings != "" {
		add("settings: %s", OneLine(r.Settings))
	}
	if n := len(r.Samples); n > 0 {
		for _, gpu := range r.Samples[n-1].GPU {
			lines = append(lines, gpuText(gpu))
		}
		if others := r.Samples[n-1].Others; len(others) > 0 {
			add("other models in memory: %s", OneLine(strings.Join(others, ", ")))
		}
	}
	if r.Retries > 0 {
		add("failed attempts: %d", r.Retries)
	}
	if n := r.Unfinished(); n > 0 {
		add("answers without figures, each repeated with another prompt: %d", n)
	}
	if !r.Timestamp.IsZero() {
		add("measured: %s", r.Timestamp.Format(time.DateTime))
	}
	return lines
}

// memoryLines formats a load's memory as the server's log reports it, a line for each device.
func memoryLines(m *measurement.Memory) []string {
	var lines []string
	for _, d := range m.Devices {
		lines = append(lines, fmt.Sprintf("memory of %s: model %s, context %s, compute %s", OneLine(d.Name), mibText(d.ModelMiB), mibText(d.ContextMiB), mibText(d.ComputeMiB)))
	}
	if m.Layers > 0 {
		lines = append(lines, fmt.Sprintf("layers on GPUs: %d of %d", m.GPULayers, m.Layers))
	}
	return lines
}

// mibText formats a size in the decimal units of the other memory figures.
func mibText(mib float64) string { return humanize.Bytes(uint64(mib * (1 << 20))) }

// ratesText lists the rates of samples, at most the first twelve.
func ratesText(rates []float64) string {
	const most = 12
	var texts []string
	for _, rate := range rates[:min(most, len(rates))] {
		texts = append(texts, rateText(rate))
	}
	text := strings.Join(texts, ", ")
	if more := len(rates) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + " tokens/s"
}

// gpuText formats the state of a GPU during a sample, as far as the driver
// reported it.
func gpuText(g measurement.GPU) string {
	var known []string
	for _, f := range []struct {
		value float64
		unit  string
	}{
		{float64(g.TemperatureC), "°C"}, {float64(g.SMClockMHz), "MHz"}, {g.PowerW, "W"}, {float64(g.MemoryMiB), "MiB used"}, {float64(g.Utilization), "% busy"},
	} {
		if f.value > 0 {
			known = append(known, fmt.Sprintf("%.0f %s", f.value, f.unit))
		}
	}
	if len(g.Throttle) > 0 {
		known = append(known, "throttled by "+OneLine(strings.Join(g.Throttle, ", ")))
	}
	return fmt.Sprintf("GPU %d: %s", g.Index, strings.Join(known, ", "))
}
