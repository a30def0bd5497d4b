package checkpoint

import (
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// Pruned returns the cells of the plan without results that are known to need at least as much
// memory as a cell that ran out of it, each with that cell. A
// failure is ignored once a cell has worked that needs as much: servers don't
// always need more memory for larger settings.
func Pruned(plan []cell.Key, known map[cell.Key]Measured) map[cell.Key]cell.Key {
	var out []cell.Key
	for c, k := range known {
		if k.Memory {
			out = append(out, c)
		}
	}
	for c, k := range known {
		if len(k.Rates) > 0 {
			out = slices.DeleteFunc(out, func(failed cell.Key) bool { return c.NeedsMemoryOf(failed) })
		}
	}
	slices.SortFunc(out, cell.Key.Compare)
	by := make(map[cell.Key]cell.Key)
	for _, c := range plan {
		if _, ok := known[c]; ok {
			continue
		}
		if i := slices.IndexFunc(out, func(failed cell.Key) bool { return c.NeedsMemoryOf(failed) }); i >= 0 {
			by[c] = out[i]
		}
	}
	return by
}
