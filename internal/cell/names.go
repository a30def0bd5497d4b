package cell

import (
	"fmt"
	"sort"
	"strings"
)

// So many bytes name cells at most, which are those of so many at most.
const (
	mostOfNames = 2000
	mostNamed   = 1000
)

// Names names cells in words, as short as it can, and of very many only the first.
func Names(cells []Key) string {
	n := min(len(cells), mostNamed)
	if text := names(cells[:n]); n == len(cells) && len(text) <= mostOfNames {
		return text
	}
	n = sort.Search(n-1, func(i int) bool { return len(names(cells[:i+2])) > mostOfNames }) + 1
	return fmt.Sprintf("%s and %d more", names(cells[:n]), len(cells)-n)
}

// names puts those together of which every num_ctx has the same num_batch.
func names(cells []Key) string {
	batches := make(map[int][]int)
	var ctxs []int
	for _, c := range cells {
		if batches[c.Ctx] == nil {
			ctxs = append(ctxs, c.Ctx)
		}
		batches[c.Ctx] = append(batches[c.Ctx], c.Batch)
	}
	alike := make(map[string][]int)
	var order []string
	for _, ctx := range ctxs {
		key := list(batches[ctx])
		if alike[key] == nil {
			order = append(order, key)
		}
		alike[key] = append(alike[key], ctx)
	}
	var parts []string
	for _, key := range order {
		parts = append(parts, fmt.Sprintf("num_ctx=%s with num_batch=%s", list(alike[key]), key))
	}
	return strings.Join(parts, "; ")
}

// mostValues is how many values of an axis are named.
const mostValues = 12

// Some names ascending values, of many the first and the last.
func Some(values []int) string {
	if len(values) <= mostValues {
		return list(values)
	}
	return fmt.Sprintf("%s, … %d (%d values)", list(values[:mostValues-1]), values[len(values)-1], len(values))
}

func list(values []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ", ")
}
