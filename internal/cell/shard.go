package cell

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Shard is one part of a plan that is split for several machines: part Index of
// Count, counted from 1. The zero value is the whole plan.
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

// MarshalText returns the form of ParseShard, for checkpoints.
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
	return strictyaml.Scalar(n, sh, "a string like 2/4", ParseShard)
}

// Check returns an error for an index out of range.
func (sh Shard) Check() error {
	if sh == (Shard{}) || (1 <= sh.Index && sh.Index <= sh.Count) {
		return nil
	}
	return fmt.Errorf("%v: the first number must be between 1 and the second", sh)
}

// Suffix returns the suffix of the name of a shard's out folder, so that shards of one
// config have different folders; empty for the whole plan.
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

// Deal returns the shard, counted from 1, of each cell of a plan in column order. The
// cells are assigned round robin, so that each shard gets an equal share of every
// num_ctx, since their costs differ. Where all shards have equally many cells when
// another axis than the fastest changes, the order shifts by one: otherwise a shard
// would have the same num_batch in every column. The shifts of an axis begin anew when
// a slower one changes.
func Deal(plan []Key, shards int) []int {
	levels := levelsOf(plan)
	fastest := 0
	for _, l := range levels {
		fastest = max(fastest, l)
	}
	shifts := make([]int, fastest)
	dealt := make([]int, len(plan))
	shift := 0
	for i := range plan {
		if l := levels[i]; i > 0 && i%shards == 0 && l < fastest {
			shifts[l]++
			clear(shifts[l+1:])
			shift = 0
			for _, n := range shifts {
				shift += n
			}
		}
		dealt[i] = (i+shift)%shards + 1
	}
	return dealt
}

// levelsOf returns for each cell of a plan in column order the slowest axis on which it differs from the
// one before it, by its place in the order: the settings of the server, num_ctx, num_batch, options.
func levelsOf(plan []Key) []int {
	server, options := make(map[Settings][]Value), make(map[Settings][]Value)
	for _, s := range AllSettings(plan) {
		server[s], options[s] = s.Server().values(), s.Options().values()
	}
	levels := make([]int, len(plan))
	for i := 1; i < len(plan); i++ {
		a, b := plan[i-1], plan[i]
		slow := server[a.Settings]
		l := firstDifference(slow, server[b.Settings])
		switch {
		case l < len(slow) || a.Ctx != b.Ctx:
		case a.Batch != b.Batch:
			l++
		default:
			l += 2 + firstDifference(options[a.Settings], options[b.Settings])
		}
		levels[i] = l
	}
	return levels
}

// firstDifference returns the place of the first of the values that differs, their number where none does.
func firstDifference(a, b []Value) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}
