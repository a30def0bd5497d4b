package sweep

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// AdviceKind is the kind of advice about num_batch that the samples support.
type AdviceKind int

const (
	// NoAdvice means that too little was measured; Advice.Lacking says what is missing.
	NoAdvice AdviceKind = iota
	// SetBatch means that the recommended num_batch is faster than the server's own or, where
	// that is not known, than others.
	SetBatch
	// LeaveBatch means that no num_batch is faster than the server's own by more than [Worth].
	LeaveBatch
	// Unsure means that noise could hide a difference of more than [Worth].
	Unsure
	// OnlyBatch means that no cell with another num_batch has a rate, or none that differs in nothing else
	// from the recommended one.
	OnlyBatch
)

// Worth is the smallest difference in rate for which num_batch is worth setting: 3 %.
const Worth = 0.03

// Advice is the num_batch to set, and how much that gains.
type Advice struct {
	Kind     AdviceKind
	cell.Key // the recommended cell; the zero value for NoAdvice
	// Own is the num_batch that the server chooses at this num_ctx, 0 where it is not known.
	Own int
	// Gain is how much faster the recommended cell is than the server's own num_batch. It is nil
	// where neither a baseline nor a cell of the grid has measured that num_batch, or where it is
	// the recommended one.
	Gain *verdict.Gain
	// Baseline reports that the Gain was measured in turns, and not taken from the grid.
	Baseline bool
	// Rows holds how much faster the recommended cell is than other num_batch at the same num_ctx,
	// where there is no Gain: the slowest one, and the fastest that is slower by more than noise.
	Rows []RowGain
	// Alone reports that cells with other num_batch have a rate, but none that differs in nothing else from
	// the recommended one, as after a search over settings.
	Alone bool
	// Resolution is the smallest relative difference that the samples would show.
	Resolution float64
	// Searching reports that a search has not ended, so the advice may still change.
	Searching bool
	// Lacking is a text that says why there is no advice.
	Lacking string
	// Next is a measurement that would make the advice clearer; nil where there is none.
	Next *Next
}

// SetsBatch reports whether the advice is to set num_batch.
func (a Advice) SetsBatch() bool { return a.Kind == SetBatch || a.Kind == OnlyBatch }

// RowGain is how much faster a cell is than the one with another num_batch.
type RowGain struct {
	NumBatch int
	verdict.Gain
}

// Next is a further measurement.
type Next struct {
	Flags    []string      // to add to the sweep's command
	Baseline bool          // it is a baseline, and not more samples
	Time     time.Duration // estimated
	// Settles reports that it should show a difference of [Worth], or the difference that was found.
	Settles bool
}

// Advise returns the advice by the samples so far. v must be the verdict of cp.
func Advise(cp *checkpoint.Checkpoint, v Verdict) Advice {
	if lacking := lacking(cp); lacking != "" {
		return Advice{Lacking: lacking}
	}
	a := Advice{Key: v.Recommended.Key}
	a.Own = ownBatches(cp)(a.Key)
	var rows []RowGain
	for _, c := range rated(cp) {
		if c.Column() == a.Column() && c.Batch != a.Batch {
			gain, _ := v.GainOver(v.Recommended, c)
			rows = append(rows, RowGain{c.Batch, gain})
		}
	}
	own := slices.IndexFunc(rows, func(r RowGain) bool { return r.NumBatch == a.Own })
	_, batches := cell.Axes(cellsOf(rated(cp)))
	a.Alone = len(rows) == 0 && len(batches) > 1
	switch {
	case len(batches) == 1 && a.Own != a.Batch:
		a.Kind = OnlyBatch
	case a.Own == a.Batch:
		a.decideOwn(rows)
	case v.Gain != nil && v.Gain.Bounded:
		a.Baseline = true
		a.decideByGain(*v.Gain)
	case own >= 0:
		a.decideByGain(rows[own].Gain)
	case a.Alone:
		a.Kind = OnlyBatch
	default:
		a.decideByRows(rows)
	}
	if s := cp.Sweep.Search; s != nil && !s.Done {
		a.Kind, a.Searching = Unsure, true
		return a
	}
	a.Next = nextStep(cp, &a, v)
	return a
}

// lacking returns why the samples allow no advice, empty where they do.
func lacking(cp *checkpoint.Checkpoint) string {
	rated := rated(cp)
	_, batches := cell.Axes(cellsOf(rated))
	onGrid, planned := cp.OnGrid(), len(cp.Plan())
	var memory, others int // cells that failed
	classes := make(map[string]int)
	for i := range cp.Results {
		r := &cp.Results[i]
		switch {
		case !r.Failed() || !onGrid(r.Cell()):
		case r.Error.OutOfMemory():
			memory++
		default:
			others++
			classes[string(*r.Error)]++
		}
	}
	memory += len(cp.Pruned())
	works := planned - memory // or may
	measured := english.Plural(len(rated), "cell has a rate", "cells have a rate")
	switch {
	case len(rated) == 0:
		return "no cell has a rate"
	case len(batches) == 1 && works == 1:
		return "there is only one cell, and nothing to compare it with"
	case others > len(rated):
		return fmt.Sprintf("%s, and %d failed for other reasons than memory (%s)", measured, others, counted(classes))
	case cp.Sweep.Search == nil && 2*(len(rated)+others) < works:
		return fmt.Sprintf("%d of %d cells have a rate", len(rated), planned)
	case len(batches) == 1 && len(cp.Sweep.Axes) == 0:
		return fmt.Sprintf("only num_batch=%d has a rate", batches[0])
	}
	return ""
}

func cellsOf(judged []verdict.Cell) []cell.Key {
	cells := make([]cell.Key, len(judged))
	for i, c := range judged {
		cells[i] = c.Key
	}
	return cells
}

// counted lists names, each with its count.
func counted(names map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		parts = append(parts, fmt.Sprintf("%d %s", names[name], name))
	}
	return strings.Join(parts, ", ")
}

// decideOwn sets the kind of advice where the server's own num_batch is the recommended one.
func (a *Advice) decideOwn(rows []RowGain) {
	a.Kind = LeaveBatch
	for _, r := range rows {
		a.Resolution = max(a.Resolution, 1/(1+r.Low)-1) // how much faster the other row may be
	}
	if a.Resolution > Worth {
		a.Kind = Unsure
	}
}

// decideByGain sets the kind of advice by the gain over the server's own num_batch.
func (a *Advice) decideByGain(g verdict.Gain) {
	a.Gain = &g
	a.Resolution = max(g.High, -g.Low)
	switch {
	case g.High <= Worth: // also where it is slower
		a.Kind = LeaveBatch
	case g.Low > 0:
		a.Kind = SetBatch
	default:
		a.Kind = Unsure
	}
}

// decideByRows sets the kind of advice where the server's own num_batch was not measured.
func (a *Advice) decideByRows(rows []RowGain) {
	var slower []RowGain
	a.Kind = LeaveBatch
	for _, r := range rows {
		a.Resolution = max(a.Resolution, r.High, 1/(1+r.Low)-1)
		if r.Low > 0 && r.High > Worth {
			slower = append(slower, r)
		}
	}
	byGain := func(x, y RowGain) int { return cmp.Compare(x.Ratio, y.Ratio) }
	switch {
	case len(slower) > 0:
		a.Kind = SetBatch
		a.Rows = slices.CompactFunc([]RowGain{slices.MaxFunc(slower, byGain), slices.MinFunc(slower, byGain)}, func(x, y RowGain) bool { return x.NumBatch == y.NumBatch })
	case a.Resolution > Worth:
		a.Kind = Unsure
	}
}

// The most samples per cell and rounds of a baseline to advise; how many samples are enough to estimate the
// noise; and the half width of the interval of a baseline with six rounds, in standard deviations of a sample.
const (
	mostAdvised       = 30
	mostRoundsAdvised = 48
	enoughForNoise    = 6
	baselineReach     = 1.3
)

// nextStep returns the measurement that would make the advice clear.
func nextStep(cp *checkpoint.Checkpoint, a *Advice, v Verdict) *Next {
	pace, ok := PaceOf(cp)
	if !ok || cp.OlderTool {
		return nil
	}
	wanted := Worth // difference to show
	if a.Gain != nil {
		wanted = max(wanted, a.Gain.Ratio)
	}
	unknown := a.Gain == nil && a.Own != a.Batch
	rounds := config.BaselineMost + 1 // of a baseline that would decide
	if times := baselineReach * v.Noise / wanted; a.Own != a.Batch && len(baselined(cp)) < mostBaselines {
		rounds = config.Reaching(int(math.Ceil(float64(MostRounds) * times * times)))
	}
	switch {
	case (a.Kind == SetBatch || a.Alone) && unknown:
		return firstRounds(config.BaselineOn, pace)
	case a.Kind != Unsure:
		return nil
	case a.Baseline: // more samples of the cells would not narrow its interval
		return moreRounds(cp, a, wanted, pace)
	case rounds == config.BaselineOn:
		return firstRounds(rounds, pace)
	}
	least, missing := fewestSamples(cp)
	// The half width of an interval falls with the root of the samples.
	times := a.Resolution / wanted
	samples := max(int(math.Ceil(float64(least)*times*times)), least+1)
	settles := v.Basis != verdict.Assumed && samples <= mostAdvised
	switch {
	case settles:
	case v.Basis != verdict.Assumed && rounds <= mostRoundsAdvised:
		return firstRounds(rounds, pace)
	case least < enoughForNoise:
		samples = enoughForNoise
	default: // as many as would decide are too many
		samples = 2 * least
	}
	return &Next{
		Flags:   []string{fmt.Sprintf("-repeat=%d", samples)},
		Time:    pace.Time(missing(samples)),
		Settles: settles,
	}
}

// firstRounds returns a baseline that should decide.
func firstRounds(rounds config.Baseline, pace Pace) *Next {
	return baselineOf(rounds, 2*rounds.Rounds(), true, pace)
}

// baselineOf returns a baseline with so many rounds, which takes so many loads.
func baselineOf(rounds config.Baseline, loads int, settles bool, pace Pace) *Next {
	flag := "-baseline"
	if rounds > config.BaselineOn {
		flag += fmt.Sprintf("=%d", rounds)
	}
	return &Next{Flags: []string{flag}, Baseline: true, Time: pace.Time(loads, loads), Settles: settles}
}

// moreRounds returns a baseline with the rounds that should show the wanted difference, at least twice as many as
// now. It returns nil where that is more than a baseline can have.
func moreRounds(cp *checkpoint.Checkpoint, a *Advice, wanted float64, pace Pace) *Next {
	t := turnsOf(cp, a.Key)
	times := (a.Gain.High - a.Gain.Low) / 2 / wanted
	rounds := config.Reaching(max(2*t.rounds, int(math.Ceil(float64(t.rounds)*times*times))))
	settles := rounds <= mostRoundsAdvised
	if !settles {
		rounds = config.Reaching(2 * t.rounds)
	}
	loads, failed := missingTurns(cp, checkpoint.Baseline, t.cells, rounds.Rounds())
	if failed || rounds > config.BaselineMost {
		return nil
	}
	return baselineOf(rounds, loads, settles, pace)
}

// fewestSamples returns the smallest number of samples of a cell with a rate, and a function that
// returns the loads and prompts after which all have more.
func fewestSamples(cp *checkpoint.Checkpoint) (least int, missing func(samples int) (loads, prompts int)) {
	var have []int
	for _, c := range rated(cp) {
		have = append(have, len(c.Rates))
	}
	return slices.Min(have), func(samples int) (loads, prompts int) {
		for _, n := range have {
			if n < samples {
				loads++
				prompts += samples - n
			}
		}
		return loads, prompts
	}
}

// CommandLine returns the command of a sweep with the header's config and flags, and the given flags,
// which replace those of the same name. The header may come from a file of unknown origin, so only
// flags of a sweep are taken from it: some flags of go test run commands.
func CommandLine(h checkpoint.Header, flags ...string) string {
	known := flag.NewFlagSet("", flag.ContinueOnError)
	new(config.Overrides).Register(known)
	line := []string{"go test -run Sweep -timeout 0 -config", cmp.Or(configOf(h), "FILE")}
	words, _ := commandWords(h)
	for _, word := range words {
		name, _, joined := strings.Cut(word, "=")
		given := slices.ContainsFunc(flags, func(flag string) bool { return flag == name || strings.HasPrefix(flag, name+"=") })
		if joined && !given && strings.HasPrefix(name, "-") && known.Lookup(name[1:]) != nil {
			line = append(line, name+"="+shell.Quoted(word[len(name)+1:]))
		}
	}
	return strings.Join(append(line, flags...), " ")
}

// commandWords returns the flags of the sweep's command, and its config.
func commandWords(h checkpoint.Header) (flags []string, config string) {
	words, err := shell.Words(h.Command)
	if err != nil || len(words) < 2 || words[0] != "-config" {
		return nil, ""
	}
	return words[2:], words[1]
}

// configOf returns the config's file name, quoted for a shell, empty where it is not known.
func configOf(h checkpoint.Header) string {
	_, config := commandWords(h)
	if config == "" {
		return ""
	}
	return shell.FileArgument(config)
}

// DefaultOut returns the default out folder of a sweep with the checkpoint's config, empty where the
// config is not known.
func DefaultOut(cp *checkpoint.Checkpoint) string {
	_, cfg := commandWords(cp.Sweep)
	if cfg == "" || config.OutOf(cfg) == "" {
		return ""
	}
	return config.OutOf(cfg) + cp.Sweep.Shard.Suffix()
}
