package merge

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Lacking is a shard or a sweep with cells that are still to be measured.
type Lacking struct {
	Shard cell.Shard // zero for a sweep without shards
	From  string     // folder of its checkpoint, empty where there is none
	Cells []cell.Key
	// Command measures them; empty for cells of the merged grid that are in no part's grid.
	Command string
}

// deal is a grid and the number of shards into which it was split, with those shards of it that are merged.
type deal struct {
	plan  []cell.Key
	of    []int        // the shard of each cell, 0 without shards
	count int          // 0 without shards
	parts map[int]part // by shard
}

// deals groups the parts by grid and number of shards, in order.
func (m *merger) deals() []*deal {
	var all []*deal
	byKey := make(map[string]*deal)
	for _, p := range m.parts {
		key := fmt.Sprint(p.header.NumCtx, p.header.NumBatch, p.header.Axes, p.header.Shard.Count)
		d := byKey[key]
		if d == nil {
			whole := p.header
			whole.Shard = cell.Shard{}
			d = &deal{plan: (&checkpoint.Checkpoint{Sweep: whole}).Plan(), count: p.header.Shard.Count, parts: make(map[int]part)}
			d.of = make([]int, len(d.plan))
			if d.count > 0 {
				d.of = cell.Deal(d.plan, d.count)
			}
			byKey[key] = d
			all = append(all, d)
		}
		if _, ok := d.parts[p.header.Shard.Index]; !ok {
			d.parts[p.header.Shard.Index] = p
		}
	}
	return all
}

// lacking lists what is still to be measured, shard by shard.
func (m *merger) lacking() []Lacking {
	have := m.cp.ByCell()
	pruned := m.cp.Pruned()
	owned := make(map[cell.Key]bool)
	var all []Lacking
	for _, d := range m.deals() {
		cells := make([][]cell.Key, d.count+1) // by shard
		for i, c := range d.plan {
			p, begun := d.parts[d.of[i]]
			_, skipped := pruned[c]
			if have[c] == nil && !skipped && !owned[c] && !(begun && p.header.Strategy != "") {
				cells[d.of[i]] = append(cells[d.of[i]], c)
			}
			owned[c] = true
		}
		for index, missing := range cells {
			p, begun := d.parts[index]
			if begun && p.header.Strategy == "" {
				missing = append(missing, p.incomplete...)
			}
			unfinished := begun && p.header.Search != nil && !p.header.Search.Done
			if len(missing) == 0 && !unfinished {
				continue
			}
			all = append(all, m.lackingOf(d, index, missing))
		}
	}
	var unplanned []cell.Key
	for _, c := range m.cp.Plan() {
		if have[c] == nil && !owned[c] {
			unplanned = append(unplanned, c)
		}
	}
	if len(unplanned) > 0 {
		all = append(all, Lacking{Cells: unplanned})
	}
	return all
}

// lackingOf returns the cells that a shard of a deal lacks, with the command that measures them.
func (m *merger) lackingOf(d *deal, index int, cells []cell.Key) Lacking {
	l := Lacking{Cells: cells}
	p, begun := d.parts[index]
	if begun {
		l.From = p.from
	} else {
		p = m.sibling(d)
	}
	if d.count > 0 {
		l.Shard = cell.Shard{Index: index, Count: d.count}
	}
	var flags []string
	if d.count > 0 {
		flags = append(flags, "-shard="+l.Shard.String())
	}
	out := l.From
	if !begun {
		if stem, ok := strings.CutSuffix(filepath.Clean(p.from), p.header.Shard.Suffix()); ok {
			out = stem + l.Shard.Suffix()
		}
	}
	if out != "" {
		flags = append(flags, "-out="+shell.Quoted(out))
	}
	l.Command = sweep.CommandLine(p.header, flags...)
	return l
}

// sibling returns a merged shard of the deal.
func (m *merger) sibling(d *deal) part {
	i := slices.IndexFunc(m.parts, func(p part) bool {
		other, ok := d.parts[p.header.Shard.Index]
		return ok && other.from == p.from
	})
	return m.parts[i]
}
