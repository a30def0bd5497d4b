package plan

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Print writes the plan for a terminal.
func (p *Plan) Print(w io.Writer) error {
	var b strings.Builder
	p.printCells(&b)
	p.printTime(&b)
	if p.Sharing != nil {
		p.printShards(&b)
	}
	p.printMemory(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Plan) printCells(b *strings.Builder) {
	ctx, batch := cell.Axes(p.Cells)
	fmt.Fprintf(b, "Out folder: %s\n", p.Config.Out)
	sizes := []string{fmt.Sprintf("%d num_ctx", len(ctx)), fmt.Sprintf("%d num_batch", len(batch))}
	for _, a := range p.axes {
		sizes = append(sizes, fmt.Sprintf("%d %s", len(a.Values), a.Name))
	}
	fmt.Fprintf(b, "Cells: %d of %s\n", len(p.Cells), english.WordSeries(sizes, "and"))
	if len(p.LeftOut) > 0 {
		fmt.Fprintf(b, "  %d left out, because servers cap num_batch at num_ctx: %s\n", len(p.LeftOut), cell.Names(p.LeftOut))
	}
	fmt.Fprintf(b, "  %d already measured, %d failed, %d to do", p.Measured, p.Failed, p.ToDo)
	if p.Config.Repeat > 1 {
		fmt.Fprintf(b, ", with %d prompts each", p.Config.Repeat)
	}
	b.WriteString("\n")
	if p.Config.Fresh == checkpoint.FreshAlways {
		b.WriteString("  -fresh starts over: the existing checkpoint is kept under another name\n")
	}
}

func (p *Plan) printTime(b *strings.Builder) {
	fmt.Fprintf(b, "Time: a load takes %v, a prompt %v (%s)\n", short(p.Pace.Load), short(p.Pace.Prompt), p.Pace.Basis)
	if p.Pace == sweep.AssumedPace {
		b.WriteString("  for a better estimate, -measure measures one cell first, which counts for the sweep\n")
	}
	fmt.Fprintf(b, "  %-12s %8s %8s %12s   %s\n", "strategy", "loads", "prompts", "time", "ends")
	simulated := false
	for _, c := range p.Costs {
		simulated = simulated || c.Basis == Simulated
		note := c.note()
		if c.Strategy == p.Config.Strategy {
			note += "  (yours)"
		}
		fmt.Fprintf(b, "  %-12s %8d %8d %12v   %s%s\n", c.Strategy, c.Loads, c.Prompts, short(c.Time), p.Now.Add(c.Time).Format("Mon 2006-01-02 15:04"), note)
	}
	if simulated {
		fmt.Fprintf(b, "  simulated: nine of ten searches are within the range, with noise of %s\n", p.simulatedNoise())
	}
	for _, line := range []string{p.restartLine(), p.suggested()} {
		if line != "" {
			fmt.Fprintf(b, "  %s\n", line)
		}
	}
	p.printAutomatic(b)
	if limit := p.Config.Budget; limit != (config.Budget{}) {
		b.WriteString("  the budget may end the sweep earlier\n")
	}
}

// note explains how the cost was estimated, and what it includes.
func (c Cost) note() (note string) {
	switch c.Basis {
	case Ended:
		note = "  the search has ended"
	case UnderWay:
		note = fmt.Sprintf("  under way: %v loads to come", sweep.Range{Least: c.Least, Most: c.Most})
	case Simulated:
		note = fmt.Sprintf("  simulated: %v %s", sweep.Range{Least: c.Least, Most: c.Most}, english.PluralWord(c.Most, "load", ""))
	}
	if c.Auxiliary > 0 {
		note += fmt.Sprintf("  with up to %d auxiliary", c.Auxiliary)
	}
	if c.Restarts > 0 {
		note += "  with up to " + english.Plural(c.Restarts, "restart", "")
	}
	if c.Repeats > 0 {
		note += fmt.Sprintf("  with up to %d repeats", c.Repeats)
	}
	return note
}

// simulatedNoise describes the noise that searches are simulated with.
func (p *Plan) simulatedNoise() string {
	if p.Noise > 0 {
		return fmt.Sprintf("%.2g %%, as in the checkpoint", 100*p.Noise)
	}
	return "0.5 to 3 % (an assumption; a noisier machine takes more)"
}

// printAutomatic prints what the sweep measures automatically.
func (p *Plan) printAutomatic(b *strings.Builder) {
	own := p.Config.Strategy
	if n := sweep.MostRetaken(len(p.Cells), p.Pace, p.Config.Repeat); p.Config.Retake && n > 0 && p.ToDo > 0 && p.Costs[0].Basis != Ended {
		fmt.Fprintf(b, "  retake: up to %s measured again if disturbed, %v at most (-retake=false: none)\n", english.Plural(n, "cell", ""), short(p.Pace.Time(n, n*p.Config.Repeat)))
	}
	if own == config.StrategyExhaustive && p.repeats > 0 {
		fmt.Fprintf(b, "  %s\n", sweep.RepeatText(p.repeats))
	}
	if p.baseline(own, p.Costs[0].Loads-p.Costs[0].Auxiliary-p.Costs[0].Repeats) > 0 {
		fmt.Fprintf(b, "  %s\n", sweep.BaselineText("because "+p.baselineReason(own)))
	}
}

func (p *Plan) printShards(b *strings.Builder) {
	s := p.Sharing
	fmt.Fprintf(b, "Shards: all %s from the start, a machine of %s for each\n", english.Plural(len(p.Cells), "cell", ""), english.Plural(s.GPUs, "GPU", ""))
	fmt.Fprintf(b, "  %8s %12s %12s %10s %9s %8s %9s\n", "machines", "time", "19 of 20", "GPU hours", "for cells", "largest", "merge")
	for _, c := range s.Costs {
		fmt.Fprintf(b, "  %8d %12v %12v %10s %7.0f %% %8d %9v\n", c.Shards, short(c.Time), short(c.P95), hours(c.GPU), 100*c.Cells, c.Largest, short(c.Merge))
	}
	if s.Measured > 0 {
		fmt.Fprintf(b, "  simulated %d times with the timings of %s; 19 of 20 simulations end within the second time\n", plays, english.Plural(s.Measured, "cell", ""))
	}
	fmt.Fprintf(b, "  each of several machines takes %v in addition to its cells: for the prompt's length, and for %s\n    twice to compare machines; waiting in a queue and copying the model are not included\n", short(s.Fixed), english.Plural(s.hostCells, "cell", ""))
	switch pays := s.MostUseful(); {
	case pays < 2:
		b.WriteString("  several machines are not worth it: even on two that is more than the cells take\n")
	case pays < len(p.Cells):
		fmt.Fprintf(b, "  from %d machines on that is more than the cells take; no number of machines takes less\n    than %v: that, the longest cell and the merge\n", pays+1, short(s.Fixed+s.Longest+s.Costs[1].Merge))
	}
	if saving := s.Costs[0].Saving; saving >= 0.05 {
		fmt.Fprintf(b, "  saving takes %.0f %% of one machine's time, because each save writes the whole checkpoint: shards\n    have smaller ones, even one after the other on one machine\n", 100*saving)
	}
	switch {
	case s.Measured == 0:
		b.WriteString("  all cells and machines are assumed to be alike: a checkpoint gives a better estimate\n")
	case s.Hosts < 2:
		b.WriteString("  machines are assumed to be alike: the checkpoint does not compare any\n")
	default:
		fmt.Fprintf(b, "  machines differ as the %d in the checkpoint do\n", s.Hosts)
	}
	if p.Config.Searches() {
		b.WriteString("  each shard would search its own part, but the table is for measuring every cell: a search on one\n    machine takes fewer GPU hours than many that share the grid\n")
	}
}

// hours formats a duration in hours with three significant digits.
func hours(d time.Duration) string {
	if h := d.Hours(); h < 100 {
		return strconv.FormatFloat(h, 'g', 3, 64)
	}
	return humanize.Comma(int64(math.Round(d.Hours())))
}

// short rounds a duration for reading.
func short(d time.Duration) string {
	switch {
	case d >= 100*time.Hour:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	case d >= time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}
