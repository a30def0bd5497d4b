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
	all := AllSettings(cells)
	if len(all) < 2 {
		return someNames(cells, "", maxNamesLength)
	}
	common := commonSettings(all)
	text := someNames(cells, common, maxSettingsLength)
	if common != "" {
		text += ", all with " + common.Text()
	}
	return text
}

// commonSettings returns the settings that all have, of one or more.
func commonSettings(all []Settings) Settings {
	common := all[0]
	for _, s := range all[1:] {
		for name, value := range common.All() {
			if v, ok := s.Value(name); !ok || v != value {
				common = common.Without(name)
			}
		}
	}
	return common
}

// someNames names the cells, of many only the first in about so many bytes, without the common settings.
func someNames(cells []Key, common Settings, most int) string {
	n := min(len(cells), maxNamed)
	if text := names(cells[:n], common); n == len(cells) && len(text) <= most {
		return text
	}
	n = sort.Search(n-1, func(i int) bool { return len(names(cells[:i+2], common)) > most }) + 1
	return fmt.Sprintf("%s and %d more", names(cells[:n], common), len(cells)-n)
}

// names groups the num_ctx that have the same num_batch, and the other settings that have the same of both. It
// leaves out the common settings.
func names(cells []Key, common Settings) string {
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
		for name := range common.All() {
			s = s.Without(name)
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
