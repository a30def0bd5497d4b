package cell

import (
	"fmt"
	"sort"
	"strings"
)

// Limits of Names, so that messages stay readable.
const (
	maxNamesLength    = 2000 // bytes
	maxSettingsLength = 500  // of cells that differ in other settings too, which take more text for each
	maxNamed          = 1000 // cells
)

// Names describes cells as briefly as possible, such as
// "num_ctx=1024, 2048 with num_batch=64, 128", and only the first of very many.
func Names(cells []Key) string {
	common := commonSettings(cells)
	if common == "" {
		return someNames(cells)
	}
	others := make([]Key, len(cells))
	for i, c := range cells {
		others[i] = c
		for name := range common.All() {
			others[i].Settings = others[i].Settings.Without(name)
		}
	}
	if len(AllSettings(others)) == 1 {
		return fmt.Sprintf("%s (%s)", someNames(others), common.Text())
	}
	return fmt.Sprintf("%s, all with %s", someNames(others), common.Text())
}

// commonSettings returns the settings that all cells have.
func commonSettings(cells []Key) Settings {
	if len(cells) == 0 {
		return ""
	}
	common := cells[0].Settings
	for _, s := range AllSettings(cells) {
		for name, value := range common.All() {
			if v, ok := s.Value(name); !ok || v != value {
				common = common.Without(name)
			}
		}
	}
	return common
}

func someNames(cells []Key) string {
	most := maxNamesLength
	if len(AllSettings(cells)) > 1 {
		most = maxSettingsLength
	}
	n := min(len(cells), maxNamed)
	if text := names(cells[:n]); n == len(cells) && len(text) <= most {
		return text
	}
	n = sort.Search(n-1, func(i int) bool { return len(names(cells[:i+2])) > most }) + 1
	return fmt.Sprintf("%s and %d more", names(cells[:n]), len(cells)-n)
}

// names groups the num_ctx that have the same num_batch, and the other settings that have the same of both.
func names(cells []Key) string {
	alike := make(map[string][]string)
	var order []string
	of := make(map[Settings][]Key)
	for _, c := range cells {
		of[c.Settings] = append(of[c.Settings], c)
	}
	for _, s := range AllSettings(cells) {
		pairs := namesOfPairs(of[s])
		if alike[pairs] == nil {
			order = append(order, pairs)
		}
		alike[pairs] = append(alike[pairs], s.Text())
	}
	for i, pairs := range order {
		if with := strings.Join(alike[pairs], "; "); with != "" {
			order[i] = fmt.Sprintf("%s (%s)", pairs, with)
		}
	}
	return strings.Join(order, "; ")
}

// namesOfPairs names cells by num_ctx and num_batch alone.
func namesOfPairs(cells []Key) string {
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

// maxListed is how many values of an axis Some lists.
const maxListed = 12

// Some lists ascending values, of many only the first and the last.
func Some(values []int) string {
	if len(values) <= maxListed {
		return list(values)
	}
	return fmt.Sprintf("%s, … %d (%d values)", list(values[:maxListed-1]), values[len(values)-1], len(values))
}

func list(values []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ", ")
}
