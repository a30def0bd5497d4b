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
	MostRounds = int(config.BaselineOn)
	// leastRounds is the smallest number of rounds in which a test can find a
	// difference.
	leastRounds = 5
	// ReferenceSamples is the smallest number of prompts per measurement of the
	// reference cell: a drift is compared with their scatter.
	ReferenceSamples = 3
)

// reference measures the reference cell again when it is due: the first cell of
// the checkpoint that has a rate, after every ReferenceEvery others.
func (r *run) reference(ctx context.Context) error {
	cp := r.Store.Checkpoint()
	cell, ok := referenceCell(cp)
	if r.ReferenceEvery == 0 || !ok || sinceReference(cp) < r.ReferenceEvery {
		return nil
	}
	_, err := r.measureAuxiliary(ctx, checkpoint.Reference, cell, max(r.Repeat, ReferenceSamples))
	return err
}

// referenceCell returns the cell that is measured again at regular intervals, and
// false while there is none.
func referenceCell(cp *checkpoint.Checkpoint) (cell.Key, bool) {
	for i := range cp.Auxiliary {
		if cp.Auxiliary[i].Purpose == checkpoint.Reference {
			return cp.Auxiliary[i].Cell(), true
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
	for i := range cp.Auxiliary {
		if r := &cp.Auxiliary[i]; r.Purpose == checkpoint.Reference && r.Timestamp.After(last) {
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

// auxiliary takes the auxiliary measurements that follow the plan: the cells that
// compare hosts, the leading cells again, the baseline.
func (r *run) auxiliary(ctx context.Context) error {
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

// hostCells measures those cells that compare hosts of which this host has so many
// loads: none before the plan, and one after it. Two loads show how much the rate
// differs from load to load, and how much the host drifts in between.
func (r *run) hostCells(ctx context.Context, loads int) error {
	if r.Filtered {
		return nil
	}
	cp := r.Store.Checkpoint()
	for _, c := range r.HostCells {
		if hostLoads(cp, r.Host, c) != loads {
			continue
		}
		result, err := r.measureAuxiliary(ctx, checkpoint.HostCheck, c, max(r.Repeat, ReferenceSamples))
		if err != nil {
			return err
		}
		fmt.Fprintf(r.Log, "host %s, %v: %s\n", r.Host, c, auxiliaryText(result))
	}
	return nil
}

// hostLoads counts a host's loads of a cell that compares hosts.
func hostLoads(cp *checkpoint.Checkpoint, host string, c cell.Key) int {
	n := 0
	for i := range cp.Auxiliary {
		if r := &cp.Auxiliary[i]; r.Purpose == checkpoint.HostCheck && r.Host == host && r.Cell() == c {
			n++
		}
	}
	return n
}

// confirm measures the leading cells again. Where they turn out slower and another
// cell is recommended then, that one is measured too.
func (r *run) confirm(ctx context.Context) error {
	cp := r.Store.Checkpoint()
	leaders := leadersOf(cp, r.Leaders)
	for more := 0; len(leaders) > 0; more++ {
		if err := r.turns(ctx, checkpoint.Confirm, leaders, MostRounds); err != nil {
			return err
		}
		v, _ := verdictBy(cp, checkpoint.Confirm) // without the baseline, which is measured later
		top := v.Recommended.Key
		if slices.Contains(leaders, top) || more == r.Leaders {
			return nil
		}
		leaders = append(leaders, top)
	}
	return nil
}

// leadersOf returns the cell that the search found or, without one, that the plan's
// samples recommend, followed by those with the highest rates.
func leadersOf(cp *checkpoint.Checkpoint, n int) []cell.Key {
	cells := rated(cp)
	for i := range cells {
		cells[i].Later = nil
	}
	v, ok := verdict.Judge(cells, referenceRates(cp))
	if !ok || n == 0 {
		return nil
	}
	first := v.Recommended.Key
	if s := cp.Sweep.Search; s != nil && s.Best != (cell.Key{}) {
		first = s.Best
	}
	slices.SortStableFunc(cells, func(a, b verdict.Cell) int { return -cmp.Compare(a.Median(), b.Median()) })
	leaders := []cell.Key{first}
	for _, c := range cells {
		if cell := c.Key; len(leaders) < n && cell != leaders[0] {
			leaders = append(leaders, cell)
		}
	}
	return leaders
}

// turns measures the cells one after the other, round by round, until they are
// distinguished or have all rounds. Rounds in the checkpoint are not measured
// again, and a cell that fails is skipped from then on.
func (r *run) turns(ctx context.Context, purpose checkpoint.Purpose, cells []cell.Key, rounds int) error {
	cp := r.Store.Checkpoint()
	before := len(cp.Auxiliary)
	for round := 1; round <= rounds; round++ {
		if round > leastRounds && distinguished(cp, purpose, cells) {
			return nil
		}
		for _, c := range cells {
			rates, failed := auxiliaryRates(cp, purpose, c)
			if failed || len(rates) >= round {
				continue
			}
			result, err := r.measureAuxiliary(ctx, purpose, c, 1)
			if err != nil {
				return err
			}
			if rounds == MostRounds { // for more rounds one line at the end is enough
				r.printRound(purpose, round, result)
			}
		}
	}
	if rounds > MostRounds && len(cp.Auxiliary) > before {
		r.printMedians(purpose, cells, rounds)
	}
	return nil
}

// printMedians prints the result of many rounds.
func (r *run) printMedians(purpose checkpoint.Purpose, cells []cell.Key, rounds int) {
	var texts []string
	for _, c := range cells {
		rates, _ := auxiliaryRates(r.Store.Checkpoint(), purpose, c)
		texts = append(texts, fmt.Sprintf("%s %.1f tokens/s", auxiliaryName(c, ownLogged(r.Store.Checkpoint())[c.Column()]), verdict.Median(rates)))
	}
	fmt.Fprintf(r.Log, "%s, median of %d rounds: %s\n", purpose, rounds, strings.Join(texts, ", "))
}

// distinguished reports whether every cell is significantly slower than the fastest of them.
func distinguished(cp *checkpoint.Checkpoint, purpose checkpoint.Purpose, cells []cell.Key) bool {
	if purpose == checkpoint.Baseline {
		return false // its interval needs all rounds
	}
	var all [][]float64
	for _, c := range cells {
		if rates, failed := auxiliaryRates(cp, purpose, c); !failed {
			all = append(all, rates)
		}
	}
	slices.SortStableFunc(all, func(a, b []float64) int { return -cmp.Compare(verdict.Median(a), verdict.Median(b)) })
	return len(all) < 2 || !slices.Contains(verdict.Differ(all[0], all[1:]), false)
}

// AuxiliaryLoads returns how many loads the confirmation of so many leading cells and the baseline still
// take at most, once the plan has been measured.
func AuxiliaryLoads(cp *checkpoint.Checkpoint, leaders int, baseline config.Baseline) int {
	n := turnsLeft(cp, checkpoint.Confirm, leadersOf(cp, leaders))
	if baseline.Requested() {
		n += BaselineLoads(cp, baseline)
	}
	return n
}

// turnsLeft returns how many loads the turns still take at most.
func turnsLeft(cp *checkpoint.Checkpoint, purpose checkpoint.Purpose, cells []cell.Key) int {
	if missing, _ := missingTurns(cp, purpose, cells, leastRounds); missing == 0 && distinguished(cp, purpose, cells) {
		return 0
	}
	loads, _ := missingTurns(cp, purpose, cells, MostRounds)
	return loads
}

// missingTurns returns how many loads the cells lack for so many rounds, and whether one of them
// has failed. A failed cell is not loaded again.
func missingTurns(cp *checkpoint.Checkpoint, purpose checkpoint.Purpose, cells []cell.Key, rounds int) (loads int, failed bool) {
	for _, c := range cells {
		rates, broken := auxiliaryRates(cp, purpose, c)
		if !broken {
			loads += max(0, rounds-len(rates))
		}
		failed = failed || broken
	}
	return loads, failed
}

// auxiliaryRates returns the rates of a cell's auxiliary measurements for the purpose, and whether one
// of them failed.
func auxiliaryRates(cp *checkpoint.Checkpoint, purpose checkpoint.Purpose, c cell.Key) (rates []float64, failed bool) {
	for i := range cp.Auxiliary {
		if r := &cp.Auxiliary[i]; r.Purpose == purpose && r.Cell() == c {
			rates = append(rates, r.SampleRates()...)
			failed = failed || r.Failed()
		}
	}
	return rates, failed
}

// measureAuxiliary measures a cell with a load of its own and saves it separately from the plan's
// results.
func (r *run) measureAuxiliary(ctx context.Context, purpose checkpoint.Purpose, c cell.Key, samples int) (checkpoint.Result, error) {
	if err := r.timeUp(ctx); err != nil {
		return checkpoint.Result{}, err
	}
	result := checkpoint.NewResult(c)
	saved := false
	save := func(res checkpoint.Result) error {
		err := r.Store.PutAuxiliary(checkpoint.Auxiliary{Purpose: purpose, Host: r.Host, Result: res}, saved)
		saved = true
		return err
	}
	err := r.measure(ctx, &task{result: &result, want: samples, save: func(res checkpoint.Result) error {
		if mayBeServersFault(&res) {
			r.holdBack(res, func() error { return save(res) })
			return nil
		}
		if err := r.noteServerWorks(); err != nil {
			return err
		}
		return save(res)
	}})
	if err == nil && mayBeServersFault(&result) { // one failure is enough, since most of these cells worked before
		err = r.testServer(ctx)
	}
	return result, err
}

func (r *run) printRound(purpose checkpoint.Purpose, round int, result checkpoint.Result) {
	fmt.Fprintf(r.Log, "%s, round %d of at most %d, %s: %s\n", purpose, round, MostRounds, auxiliaryName(result.Cell(), result.Effective.NumBatch), auxiliaryText(result))
}

// auxiliaryName returns a cell's name, also where its num_batch is the server's own, which is 0 where
// no log reports it.
func auxiliaryName(c cell.Key, own int) string {
	switch {
	case c.Batch > 0:
		return c.String()
	case own > 0:
		return fmt.Sprintf("%s and the server's own num_batch (%d)", columnName(c), own)
	}
	return columnName(c) + " and the server's own num_batch"
}

// columnName returns the name of a cell without its num_batch.
func columnName(c cell.Key) string {
	name := fmt.Sprintf("ctx=%d", c.Ctx)
	if c.Settings != "" {
		name += "/" + string(c.Settings)
	}
	return name
}

func auxiliaryText(result checkpoint.Result) string {
	if result.Failed() {
		return failureText(result)
	}
	return fmt.Sprintf("%.1f tokens/s", *result.PromptEvalRate)
}
