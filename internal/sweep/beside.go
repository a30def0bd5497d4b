package sweep

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

const (
	// MostRounds is how often leading cells and the baseline are measured, in
	// turns, each time with a load of its own: six samples a side are the least
	// that have a 95 % interval.
	MostRounds = 6
	// leastRounds is from where a difference can be told: below it no test finds
	// one.
	leastRounds = 5
	// ReferenceSamples is how many prompts a measurement of the reference cell
	// takes at least: their scatter is what a drift is held against.
	ReferenceSamples = 3
)

// reference measures the reference cell again where its time has come: the
// first cell of the checkpoint that has a rate, after so many others.
func (r *run) reference(ctx context.Context) error {
	cp := r.Store.Checkpoint()
	cell, ok := ReferenceCell(cp)
	if r.ReferenceEvery == 0 || !ok || sinceReference(cp) < r.ReferenceEvery {
		return nil
	}
	_, err := r.besideThePlan(ctx, checkpoint.Reference, cell, max(r.Repeat, ReferenceSamples))
	return err
}

// ReferenceCell returns the cell that is measured again every so often, and
// false while there is none.
func ReferenceCell(cp *checkpoint.Checkpoint) (cell.Key, bool) {
	for i := range cp.Remeasured {
		if cp.Remeasured[i].Purpose == checkpoint.Reference {
			return cp.Remeasured[i].Cell(), true
		}
	}
	for i := range cp.Results {
		if len(cp.Results[i].Samples) > 0 && !cp.Results[i].Failed() {
			return cp.Results[i].Cell(), true
		}
	}
	return cell.Key{}, false
}

// sinceReference counts the measurements of cells since the last one of the
// reference cell, or since the sweep began.
func sinceReference(cp *checkpoint.Checkpoint) int {
	last := cp.Sweep.Started
	for i := range cp.Remeasured {
		if r := &cp.Remeasured[i]; r.Purpose == checkpoint.Reference && r.Timestamp.After(last) {
			last = r.Timestamp
		}
	}
	n := 0
	for i := range cp.Results {
		if cp.Results[i].Timestamp.After(last) {
			n++
		}
	}
	return n
}

// beside measures what comes after the plan: the cells that tell hosts apart, leading
// cells again, the baseline.
func (r *run) beside(ctx context.Context) error {
	if len(r.HostCells) == 0 && r.Leaders == 0 && !r.wantsBaseline() || r.summary().Missing > 0 {
		return nil
	}
	if err := r.hostCells(ctx, 1); err != nil {
		return err
	}
	if err := r.confirm(ctx); err != nil {
		return err
	}
	return r.baseline(ctx)
}

// hostCells measures the cells that tell hosts apart, those of which so many loads
// of this host stand: none before the plan, and one after it. Two loads tell what a
// load by itself changes, and the time in between what the host itself does.
func (r *run) hostCells(ctx context.Context, stand int) error {
	if r.Filtered {
		return nil
	}
	cp := r.Store.Checkpoint()
	for _, c := range r.HostCells {
		if hostLoads(cp, r.Host, c) != stand {
			continue
		}
		result, err := r.besideThePlan(ctx, checkpoint.HostCheck, c, max(r.Repeat, ReferenceSamples))
		if err != nil {
			return err
		}
		fmt.Fprintf(r.Log, "# host %s, %v: %s\n", r.Host, c, besideText(result))
	}
	return nil
}

// hostLoads counts the loads of a cell that tells hosts apart.
func hostLoads(cp *checkpoint.Checkpoint, host string, c cell.Key) int {
	n := 0
	for i := range cp.Remeasured {
		if r := &cp.Remeasured[i]; r.Purpose == checkpoint.HostCheck && r.Host == host && r.Cell() == c {
			n++
		}
	}
	return n
}

// confirm measures the leading cells again. Where they don't hold what they
// promised and another cell comes out on top, that one is measured too.
func (r *run) confirm(ctx context.Context) error {
	cp := r.Store.Checkpoint()
	leaders := leadersOf(cp, r.Leaders)
	for more := 0; len(leaders) > 0; more++ {
		if err := r.turns(ctx, checkpoint.Confirm, leaders, MostRounds); err != nil {
			return err
		}
		v, _ := verdictBy(cp, checkpoint.Confirm) // a baseline comes after that
		top := cellOf(v.Recommended)
		if slices.Contains(leaders, top) || more == r.Leaders {
			return nil
		}
		leaders = append(leaders, top)
	}
	return nil
}

// leadersOf returns the cell that the search has found, or that the plan's own
// samples recommend, and after it those with the highest rates.
func leadersOf(cp *checkpoint.Checkpoint, n int) []cell.Key {
	cells := rated(cp)
	for i := range cells {
		cells[i].Again = nil
	}
	v, ok := verdict.Judge(cells, referenceRates(cp))
	if !ok || n == 0 {
		return nil
	}
	first := cellOf(v.Recommended)
	if s := cp.Sweep.Search; s != nil && s.Best != (cell.Key{}) {
		first = s.Best
	}
	slices.SortStableFunc(cells, func(a, b verdict.Cell) int { return -cmp.Compare(a.Median(), b.Median()) })
	leaders := []cell.Key{first}
	for _, c := range cells {
		if cell := cellOf(c); len(leaders) < n && cell != leaders[0] {
			leaders = append(leaders, cell)
		}
	}
	return leaders
}

// turns measures the cells one after the other, round by round, until all that
// can be told is told. What stands in the checkpoint is not measured again, and
// a cell that fails is left out from then on.
func (r *run) turns(ctx context.Context, purpose checkpoint.Purpose, cells []cell.Key, rounds int) error {
	cp := r.Store.Checkpoint()
	before := len(cp.Remeasured)
	for round := 1; round <= rounds; round++ {
		if round > leastRounds && apart(cp, purpose, cells) {
			return nil
		}
		for _, c := range cells {
			rates, failed := again(cp, purpose, c)
			if failed || len(rates) >= round {
				continue
			}
			result, err := r.besideThePlan(ctx, purpose, c, 1)
			if err != nil {
				return err
			}
			if rounds == MostRounds { // of many more there is one line in the end
				r.besideProgress(purpose, round, result)
			}
		}
	}
	if rounds > MostRounds && len(cp.Remeasured) > before {
		r.sayMedians(purpose, cells, rounds)
	}
	return nil
}

// sayMedians says what many rounds came to.
func (r *run) sayMedians(purpose checkpoint.Purpose, cells []cell.Key, rounds int) {
	var texts []string
	for _, c := range cells {
		rates, _ := again(r.Store.Checkpoint(), purpose, c)
		texts = append(texts, fmt.Sprintf("%s %.1f tokens/s", besideName(c, ownLogged(r.Store.Checkpoint())[c.Ctx]), verdict.Median(rates)))
	}
	fmt.Fprintf(r.Log, "# %s, median of %d rounds: %s\n", purpose, rounds, strings.Join(texts, ", "))
}

// apart reports whether every cell differs from the fastest of them.
func apart(cp *checkpoint.Checkpoint, purpose checkpoint.Purpose, cells []cell.Key) bool {
	if purpose == checkpoint.Baseline {
		return false // its interval takes all rounds
	}
	var all [][]float64
	for _, c := range cells {
		if rates, failed := again(cp, purpose, c); !failed {
			all = append(all, rates)
		}
	}
	slices.SortStableFunc(all, func(a, b []float64) int { return -cmp.Compare(verdict.Median(a), verdict.Median(b)) })
	return len(all) < 2 || !slices.Contains(verdict.Differ(all[0], all[1:]), false)
}

// AgainLeft returns how many loads it still takes, at most, to measure so many leading cells and
// the baseline, once the plan has been measured.
func AgainLeft(cp *checkpoint.Checkpoint, leaders int, baseline bool) int {
	n := turnsLeft(cp, checkpoint.Confirm, leadersOf(cp, leaders))
	if baseline {
		n += BaselineLoads(cp, config.BaselineOn)
	}
	return n
}

// turnsLeft returns how many loads the turns still take at most.
func turnsLeft(cp *checkpoint.Checkpoint, purpose checkpoint.Purpose, cells []cell.Key) int {
	if missing, _ := missingTurns(cp, purpose, cells, leastRounds); missing == 0 && apart(cp, purpose, cells) {
		return 0
	}
	loads, _ := missingTurns(cp, purpose, cells, MostRounds)
	return loads
}

// missingTurns returns how many loads the cells lack for so many rounds, and whether one of them
// has failed, which then has no more turns.
func missingTurns(cp *checkpoint.Checkpoint, purpose checkpoint.Purpose, cells []cell.Key, rounds int) (loads int, failed bool) {
	for _, c := range cells {
		rates, broken := again(cp, purpose, c)
		if !broken {
			loads += max(0, rounds-len(rates))
		}
		failed = failed || broken
	}
	return loads, failed
}

// again returns the rates of the samples that were taken of a cell for the
// purpose, and whether it failed.
func again(cp *checkpoint.Checkpoint, purpose checkpoint.Purpose, c cell.Key) (rates []float64, failed bool) {
	for i := range cp.Remeasured {
		if r := &cp.Remeasured[i]; r.Purpose == purpose && r.Cell() == c {
			rates = append(rates, r.SampleRates()...)
			failed = failed || r.Failed()
		}
	}
	return rates, failed
}

// besideThePlan measures a cell with a load of its own and keeps that beside the
// plan's results.
func (r *run) besideThePlan(ctx context.Context, purpose checkpoint.Purpose, c cell.Key, samples int) (checkpoint.Result, error) {
	if err := r.timeUp(ctx); err != nil {
		return checkpoint.Result{}, err
	}
	result := checkpoint.Result{NumCtx: c.Ctx, NumBatch: c.Batch}
	saved := false
	save := func(res checkpoint.Result) error {
		err := r.Store.Remeasure(checkpoint.Remeasured{Purpose: purpose, Host: r.Host, Result: res}, saved)
		saved = true
		return err
	}
	err := r.measure(ctx, &task{result: &result, want: samples, save: func(res checkpoint.Result) error {
		if mayBeServers(&res) {
			r.suspect(res, func() error { return save(res) })
			return nil
		}
		if err := r.works(); err != nil {
			return err
		}
		return save(res)
	}})
	if err == nil && mayBeServers(&result) { // mostly of a cell that worked, which is reason enough
		err = r.prove(ctx)
	}
	return result, err
}

func (r *run) besideProgress(purpose checkpoint.Purpose, round int, result checkpoint.Result) {
	fmt.Fprintf(r.Log, "# %s, round %d of at most %d, %s: %s\n", purpose, round, MostRounds, besideName(result.Cell(), result.Effective.NumBatch), besideText(result))
}

// besideName names a cell, or one with the server's own num_batch, which is 0 where no log tells.
func besideName(c cell.Key, own int) string {
	switch {
	case c.Batch > 0:
		return c.String()
	case own > 0:
		return fmt.Sprintf("ctx=%d and the server's own num_batch (%d)", c.Ctx, own)
	}
	return fmt.Sprintf("ctx=%d and the server's own num_batch", c.Ctx)
}

func besideText(result checkpoint.Result) string {
	if result.Failed() {
		return failureText(result)
	}
	return fmt.Sprintf("%.1f tokens/s", *result.PromptEvalRate)
}
