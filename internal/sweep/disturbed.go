package sweep

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Disturbed is a cell with samples that something else than its settings may have slowed.
type Disturbed struct {
	cell.Key
	Samples []int // indexes of these samples in the result
}

// FindDisturbed returns the cells of the grid that were disturbed, in order of measurement. v must be
// the verdict of cp. A cell that lies far from its row and column counts as disturbed until it is
// measured again: if it still does then, it really differs.
func FindDisturbed(cp *checkpoint.Checkpoint, v Verdict) []Disturbed {
	far := make(map[cell.Key]bool)
	for _, c := range v.Disturbed {
		far[c.Key] = true
	}
	onGrid := cp.OnGrid()
	gpu := slices.ContainsFunc(cp.Results, func(r checkpoint.Result) bool { return r.SizeVRAM > 0 })
	var all []Disturbed
	for i := range cp.Results {
		r := &cp.Results[i]
		if r.PromptEvalRate == nil || !onGrid(r.Cell()) {
			continue
		}
		spilled := check.Spilled(r.Size, r.SizeVRAM, gpu) // which explains a low rate
		if d := disturbedOf(r, far[r.Cell()] && !spilled && len(r.SetAside) == 0, v.Noise); len(d.Samples) > 0 {
			all = append(all, d)
		}
	}
	return all
}

// disturbedOf returns the samples of a cell that are in doubt: all of them where the cell lies far
// from its row and column. noise is the relative standard deviation of a sample.
func disturbedOf(r *checkpoint.Result, far bool, noise float64) Disturbed {
	d := Disturbed{Key: r.Cell()}
	rates := r.SampleRates()
	for i, s := range r.Samples {
		if far || check.Busy(s) != "" || lags(rates, i, noise) {
			d.Samples = append(d.Samples, i)
		}
	}
	return d
}

// Undisturbed returns the rates of a cell's samples, in tokens per second, without those that were
// taken while the machine was busy or that lie far below the others. noise is the relative standard
// deviation of a sample. A result of the older tool has a single rate.
func Undisturbed(r *checkpoint.Result, noise float64) []float64 {
	rates := r.SampleRates()
	if len(rates) == 0 && r.PromptEvalRate != nil {
		return []float64{*r.PromptEvalRate}
	}
	d := disturbedOf(r, false, noise)
	var kept []float64
	for i, rate := range rates {
		if !slices.Contains(d.Samples, i) {
			kept = append(kept, rate)
		}
	}
	return kept
}

// WithoutDisturbed returns a copy of the checkpoint whose cells have the samples alone that Undisturbed
// keeps, or all where it keeps none.
func WithoutDisturbed(cp *checkpoint.Checkpoint, noise float64) *checkpoint.Checkpoint {
	part := *cp
	part.Results = slices.Clone(cp.Results)
	for i := range part.Results {
		r := &part.Results[i]
		if d := disturbedOf(r, false, noise); len(d.Samples) > 0 && len(d.Samples) < len(r.Samples) {
			setAside(r, d.Samples)
			r.SetRate()
		}
	}
	return &part
}

// lagsNoise is how many standard deviations a sample must lie below its cell's others to be in
// doubt.
const lagsNoise = 5

// lags reports whether sample i lies far below the others of its cell. Of two samples that are far
// apart, either may be wrong.
func lags(rates []float64, i int, noise float64) bool {
	apart := 1 - max(verdict.MinDisturbance, lagsNoise*noise)
	if len(rates) == 2 {
		return slices.Min(rates) < slices.Max(rates)*apart
	}
	others := slices.Delete(slices.Clone(rates), i, i+1)
	return len(others) > 0 && rates[i] < verdict.Median(others)*apart
}

// setAside moves samples to those that don't count.
func setAside(r *checkpoint.Result, places []int) {
	var kept []measurement.Sample
	r.SetAside = slices.Clone(r.SetAside) // the checkpoint shares it
	for i, s := range r.Samples {
		if slices.Contains(places, i) {
			r.SetAside = append(r.SetAside, s)
		} else {
			kept = append(kept, s)
		}
	}
	r.Samples = kept
}

// Limits on measuring disturbed cells again: a tenth of the plan, or as many as take two minutes; and
// the number of cells in a row that were disturbed again.
const (
	retakeShare        = 0.1
	retakeTime         = 2 * time.Minute
	mostStillDisturbed = 2
)

// MostRetaken returns how many disturbed cells of a plan of so many are measured again at most.
func MostRetaken(planned int, p Pace, repeat int) int {
	inTime := planned
	if each := p.Time(1, repeat); each > 0 {
		inTime = min(planned, int(retakeTime/each))
	}
	return max(int(retakeShare*float64(planned)), inTime)
}

// retake measures the disturbed cells of a complete plan again, and reports whether there were any.
// It ends when the machine is still busy, or when time is up, which is no error once the plan is
// complete.
func (r *run) retake(ctx context.Context, each each) (any bool) {
	if !r.Retake || r.Filtered || r.stop != nil || r.retakes.inVain == mostStillDisturbed || r.summary().Missing > 0 {
		return false
	}
	todo := r.toRetake()
	r.outlook.loads, r.outlook.counts = len(todo), true
	for _, d := range todo {
		if r.timeUp(ctx) != nil {
			break
		}
		any = true
		s := step{Key: d.Key, want: len(r.Store.Checkpoint().Result(d.Key).Samples), name: d.Key.String() + "/again"}
		each(s.name, func() Outcome {
			outcome, better := r.measureAgain(ctx, s, d)
			if r.retakes.inVain++; better {
				r.retakes.inVain = 0
			}
			return outcome
		})
		r.outlook.loads--
		if r.stop != nil {
			break
		}
		if r.retakes.inVain == mostStillDisturbed {
			fmt.Fprintln(r.Log, "the machine is still busy: no more cells are measured again")
			break
		}
	}
	return any
}

// toRetake returns the disturbed cells to measure again, and prints their number. Each is measured
// again once: a cell that then has the same rate really has it.
func (r *run) toRetake() []Disturbed {
	cp := r.Store.Checkpoint()
	v, ok := VerdictOf(cp)
	if _, begun := begunTurns(cp); begun || !ok {
		return nil
	}
	todo := slices.DeleteFunc(FindDisturbed(cp, v), func(d Disturbed) bool {
		result, _ := r.Store.Result(d.Key)
		return r.retakes.cells[d.Key] || len(result.SetAside) > 0
	})
	if len(todo) == 0 {
		return nil
	}
	pace, _ := PaceOf(cp)
	disturbed, most := len(todo), MostRetaken(len(r.Plan), pace, r.Repeat)
	todo = todo[:min(disturbed, most)]
	text := ""
	if disturbed > most {
		text = fmt.Sprintf(", the first %d of them", most)
	}
	fmt.Fprintf(r.Log, "%s in doubt: measuring again%s\n", english.Plural(disturbed, "cell is", "cells are"), text)
	return todo
}

// measureAgain replaces the samples in doubt of a cell by new ones. It returns false where the machine
// was busy again: then the first samples are kept. A cell that fails stays as it was.
func (r *run) measureAgain(ctx context.Context, s step, d Disturbed) (o Outcome, better bool) {
	r.retakes.cells[d.Key] = true
	before := *r.Store.Checkpoint().Result(d.Key)
	result := before
	setAside(&result, d.Samples)
	r.reportBegin(s)
	save := func(res checkpoint.Result) error {
		if res.Failed() {
			return nil
		}
		return r.Store.Put(res)
	}
	t := &task{result: &result, want: s.want, save: save, onSample: r.OnSample}
	if r.stop = r.measure(ctx, t); r.stop != nil {
		return Outcome{Err: r.stop}, false
	}
	r.reportEnd(s, result)
	if result.Failed() {
		if r.stop = r.checkServerAfterRetake(ctx, result); r.stop != nil {
			return Outcome{Err: r.stop}, false
		}
		return Outcome{Skip: failureText(result) + "; its first samples are kept"}, false
	}
	added := result.Samples[s.want-len(d.Samples):]
	busy := slices.ContainsFunc(added, func(s measurement.Sample) bool { return check.Busy(s) != "" })
	if busy {
		result.Samples, result.SetAside = before.Samples, slices.Concat(before.SetAside, added)
		if r.stop = t.put(r.Now()); r.stop != nil {
			return Outcome{Err: r.stop}, false
		}
	}
	r.state.Measured[d.Key] = result.Measured()
	return Outcome{}, !busy
}
