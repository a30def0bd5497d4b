package cell

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Shard is one part of a plan that several machines share: part Index of
// Count, the first being 1. The zero value is the whole plan.
type Shard struct {
	Index, Count int
}

// ParseShard reads "2/4".
func ParseShard(s string) (Shard, error) {
	var sh Shard
	if n, err := fmt.Sscanf(s, "%d/%d", &sh.Index, &sh.Count); n != 2 || err != nil || sh.String() != s {
		return Shard{}, fmt.Errorf("%q is not of the form I/N, like 2/4", s)
	}
	return sh, sh.Check()
}

func (sh Shard) String() string {
	if sh == (Shard{}) {
		return ""
	}
	return fmt.Sprintf("%d/%d", sh.Index, sh.Count)
}

// MarshalText and UnmarshalText are the form of the checkpoint and the config.
func (sh Shard) MarshalText() ([]byte, error) { return []byte(sh.String()), nil }

// UnmarshalText reads the form of ParseShard; an empty text is the whole plan.
func (sh *Shard) UnmarshalText(text []byte) (err error) {
	*sh = Shard{}
	if len(text) > 0 {
		*sh, err = ParseShard(string(text))
	}
	return err
}

// UnmarshalYAML reads the form of ParseShard.
func (sh *Shard) UnmarshalYAML(n *yaml.Node) error {
	return strictyaml.Scalar(n, sh, "a text like 2/4", ParseShard)
}

// Check returns what is wrong with the two numbers.
func (sh Shard) Check() error {
	if sh == (Shard{}) || (1 <= sh.Index && sh.Index <= sh.Count) {
		return nil
	}
	return fmt.Errorf("%v: the first number counts from 1 to the second", sh)
}

// Suffix is what the name of a shard's out folder ends in, so that each has one of its
// own under one config; empty for the whole plan.
func (sh Shard) Suffix() string {
	if sh == (Shard{}) {
		return ""
	}
	return fmt.Sprintf("-%dof%d", sh.Index, sh.Count)
}

// Of returns the shard's part of a plan in column order.
func (sh Shard) Of(plan []Key) []Key {
	if sh.Count < 2 {
		return plan
	}
	var mine []Key
	for i, index := range Deal(plan, sh.Count) {
		if index == sh.Index {
			mine = append(mine, plan[i])
		}
	}
	return mine
}

// Deal returns the shard, from 1 on, of each cell of a plan in column order. The cells
// are dealt out like cards, so that each shard gets a like share of every num_ctx,
// whose costs differ. Where a column begins with all shards even, it begins one shard
// further than the one before: otherwise a shard would have the same num_batch in
// every column.
func Deal(plan []Key, shards int) []int {
	dealt := make([]int, len(plan))
	further := 0
	for i, c := range plan {
		if i > 0 && i%shards == 0 && c.Ctx != plan[i-1].Ctx {
			further++
		}
		dealt[i] = (i+further)%shards + 1
	}
	return dealt
}
