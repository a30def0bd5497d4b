// Package merge combines checkpoints into one: the shards of a sweep on several machines,
// or several runs of one sweep.
//
// Checkpoints are added one at a time, since a thousand of them don't fit into memory
// twice. The result is one checkpoint and a list of its problems: contradictory results
// of a cell, and cells and shards that are missing, with the command that measures them.
package merge

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Merged is the result of a merge.
type Merged struct {
	Checkpoint *checkpoint.Checkpoint
	// Pooled are the cells with samples from several parts. Copies is the number of
	// samples that are in several parts, and count once.
	Pooled []cell.Key
	Copies int
	// Contradictions are the cells whose results in two parts can't both be right.
	Contradictions []Contradiction
	// Lacking are the shards, or the parts, with cells that are still to be measured.
	Lacking []Lacking
	// PassedOver lists what a pattern matched that was not merged, with the reason.
	PassedOver []string
	// Aside is the new path of an earlier merged checkpoint that had samples which this one
	// lacks; empty where there was none.
	Aside string
}

// Contradiction describes results of a cell in two parts that can't both be right.
type Contradiction struct {
	cell.Key
	Text string
}

// part is what a merger keeps of a checkpoint that was merged.
type part struct {
	from       string // folder
	header     checkpoint.Header
	cells      int
	maxSamples int        // most samples of a cell
	incomplete []cell.Key // cells with fewer samples than that
}

// merger merges one checkpoint after the other.
type merger struct {
	cp        *checkpoint.Checkpoint
	parts     []part
	identity  []knownTrait     // the common identity of the parts
	at        map[cell.Key]int // indices into the checkpoint's results
	firstPart map[cell.Key]int // the part that a cell's result came from first
	pooled    map[cell.Key]*pool
	// pools are the cells of pooled in the order in which they were added.
	pools          []cell.Key
	copies         int
	contradictions []Contradiction
}

// knownTrait is a trait of the identity, and the folder of the first part that has it.
type knownTrait struct {
	checkpoint.Trait
	from string
}

// pool is the rates of a cell by the parts that they come from.
type pool struct {
	parts []int
	rates [][]float64
}

func newMerger() *merger {
	return &merger{
		cp:        new(checkpoint.Checkpoint),
		at:        make(map[cell.Key]int),
		firstPart: make(map[cell.Key]int),
		pooled:    make(map[cell.Key]*pool),
	}
}

// add merges a checkpoint, which must not be used afterwards. The error says why it
// does not belong to the others.
func (m *merger) add(from string, cp *checkpoint.Checkpoint) error {
	if cp.OlderTool {
		return fmt.Errorf("%s was written by an older tool, which did not record model, prompt and machine: resume it in a sweep of its own first", from)
	}
	if err := m.checkIdentity(from, cp.Sweep); err != nil {
		return err
	}
	p := part{from: from, header: cp.Sweep, cells: len(cp.Results)}
	for i := range cp.Results {
		p.maxSamples = max(p.maxSamples, len(cp.Results[i].Samples))
	}
	number := len(m.parts)
	for i := range cp.Results {
		r := &cp.Results[i]
		if n := len(r.Samples); !r.Failed() && n > 0 && n < p.maxSamples {
			p.incomplete = append(p.incomplete, r.Cell())
		}
		m.addResult(number, from, r)
	}
	for _, r := range cp.Auxiliary {
		// Drift needs the clock of one machine: that of a part becomes a warning below.
		if r.Purpose != checkpoint.Reference && !slices.ContainsFunc(m.cp.Auxiliary, func(other checkpoint.Auxiliary) bool { return same(&r, &other) }) {
			m.cp.Auxiliary = append(m.cp.Auxiliary, r)
		}
	}
	if d, ok := sweep.Drift(cp); ok && d.Significant {
		p.header.Warnings = append(slices.Clip(p.header.Warnings), fmt.Sprintf("%s (%s)", check.Drift(d.Change, d.Noise, d.Points), from))
	}
	m.parts = append(m.parts, p)
	return nil
}

// checkIdentity returns an error naming the field in which a part does not belong to an
// earlier one, and adds what was not known before to the common identity.
func (m *merger) checkIdentity(from string, h checkpoint.Header) error {
	here := h.Identity()
	if m.identity == nil {
		m.identity = make([]knownTrait, len(here))
		for i, trait := range here {
			m.identity[i] = knownTrait{trait, from}
		}
	}
	for i, there := range m.identity {
		if here[i].Differs(there.Trait) {
			this, that := here[i].Shown(there.Trait)
			return fmt.Errorf("%s does not belong to %s: %s is %s here and %s there", from, there.from, here[i].Name, this, that)
		}
	}
	for i, trait := range here {
		if m.identity[i].Value == "" && trait.Value != "" {
			m.identity[i] = knownTrait{trait, from}
		}
	}
	return nil
}

// same reports whether two entries are the same measurement.
func same(a, b *checkpoint.Auxiliary) bool {
	return a.Purpose == b.Purpose && a.Host == b.Host && a.Cell() == b.Cell() && a.Timestamp.Equal(b.Timestamp)
}

// addResult adds the result of a cell, or its samples to an existing result.
func (m *merger) addResult(number int, from string, r *checkpoint.Result) {
	c := r.Cell()
	i, exists := m.at[c]
	if !exists {
		m.at[c], m.firstPart[c] = len(m.cp.Results), number
		m.cp.Results = append(m.cp.Results, *r)
		return
	}
	have := &m.cp.Results[i]
	if text := contradiction(m.parts[m.firstPart[c]].from, have, from, r); text != "" {
		m.contradictions = append(m.contradictions, Contradiction{c, text})
	}
	fresh := setAside(have, r)
	before := have.SampleRates()
	m.copies += len(r.Samples) - len(fresh)
	if r.Failed() && !have.Failed() {
		defer func() { m.firstPart[c] = number }() // which later contradictions name
	}
	join(have, r, fresh)
	if len(before) == 0 || len(fresh) == 0 {
		return
	}
	p := m.pooled[c]
	if p == nil {
		p = &pool{[]int{m.firstPart[c]}, [][]float64{before}}
		m.pooled[c] = p
		m.pools = append(m.pools, c)
	}
	p.parts = append(p.parts, number)
	p.rates = append(p.rates, (&checkpoint.Result{Samples: fresh}).SampleRates())
}

// merged returns the result of the merge.
func (m *merger) merged() *Merged {
	m.header()
	slices.SortStableFunc(m.cp.Results, func(a, b checkpoint.Result) int { return a.Timestamp.Compare(b.Timestamp) })
	slices.SortStableFunc(m.cp.Auxiliary, func(a, b checkpoint.Auxiliary) int { return a.Timestamp.Compare(b.Timestamp) })
	out := &Merged{Checkpoint: m.cp, Copies: m.copies, Pooled: m.pools, Contradictions: append(m.contradictions, m.differingRates()...)}
	slices.SortFunc(out.Pooled, cell.Key.Compare)
	slices.SortStableFunc(out.Contradictions, func(a, b Contradiction) int { return a.Compare(b.Key) })
	results := m.cp.ByCell()
	for _, c := range out.Contradictions {
		r := results[c.Key]
		r.Warnings = append(r.Warnings, "merge: "+c.Text)
	}
	m.cp.Sweep.Search = m.answer()
	out.Lacking = m.lacking()
	return out
}

// header sets the header: that of the first part, with the grid and the warnings of all.
func (m *merger) header() {
	h := m.parts[0].header
	h.Shard, h.Search, h.Warnings, h.Merged = cell.Shard{}, nil, nil, nil
	var ctx, batch []int
	for _, p := range m.parts {
		if p.header.Started.Before(h.Started) {
			h.Started = p.header.Started
		}
		if len(h.Devices) == 0 {
			h.Devices = p.header.Devices
		}
		if h.Settings == nil {
			h.Settings = p.header.Settings
		}
		h.Attention = cmp.Or(h.Attention, p.header.Attention)
		h.Unprobeable = cmp.Or(h.Unprobeable, p.header.Unprobeable)
		if h.Weights == nil {
			h.Weights = p.header.Weights
		}
		if h.Place != p.header.Place {
			h.Place = checkpoint.Place{} // differs between shards
		}
		if p.header.Strategy != h.Strategy {
			h.Strategy = ""
		}
		h.Prune = h.Prune && p.header.Prune
		ctx, batch = append(ctx, p.header.NumCtx...), append(batch, p.header.NumBatch...)
		h.Axes = cell.Union(h.Axes, p.header.Axes)
		for _, text := range p.header.Warnings {
			if !slices.Contains(h.Warnings, text) {
				h.Warnings = append(h.Warnings, text)
			}
		}
		h.Merged = append(h.Merged, checkpoint.Source{From: p.from, Shard: p.header.Shard, Cells: p.cells})
	}
	slices.SortStableFunc(h.Merged, func(a, b checkpoint.Source) int { return cmp.Compare(a.Shard.Index, b.Shard.Index) })
	slices.Sort(ctx)
	slices.Sort(batch)
	h.NumCtx, h.NumBatch = slices.Compact(ctx), slices.Compact(batch)
	m.cp.Sweep, m.cp.Version = h, h.Format()
}

// answer returns the result of the parts' search on all cells, where all parts have the same
// strategy.
func (m *merger) answer() *checkpoint.Answer {
	most := 0
	for _, p := range m.parts {
		most = max(most, p.maxSamples)
	}
	k, ok := search.KindOf(m.cp.Sweep.Strategy)
	if !ok {
		return nil
	}
	return k.New(float64(config.DefaultTolerance), most).Next(sweep.State{Plan: m.cp.Plan(), Measured: m.cp.Measured(), Probes: m.cp.Probed()}).Answer
}

// differingRates returns the pooled cells whose rates differ significantly between parts.
func (m *merger) differingRates() []Contradiction {
	var pairs []verdict.Comparison
	var names [][2]string
	var cells []cell.Key
	for _, c := range m.pools {
		p := m.pooled[c]
		slow, fast := 0, 0
		for i := range p.rates {
			if verdict.Median(p.rates[i]) < verdict.Median(p.rates[slow]) {
				slow = i
			}
			if verdict.Median(p.rates[i]) > verdict.Median(p.rates[fast]) {
				fast = i
			}
		}
		pairs = append(pairs, verdict.Comparison{Old: p.rates[slow], New: p.rates[fast]})
		names = append(names, [2]string{m.parts[p.parts[slow]].from, m.parts[p.parts[fast]].from})
		cells = append(cells, c)
	}
	var found []Contradiction
	for i, change := range verdict.Changes(pairs, 0, 0) {
		if change.Significant {
			found = append(found, Contradiction{cells[i], fmt.Sprintf("%.1f tokens/s in %s and %.1f in %s, which differ by more than chance",
				verdict.Median(pairs[i].Old), names[i][0], verdict.Median(pairs[i].New), names[i][1])})
		}
	}
	return found
}
