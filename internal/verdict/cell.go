package verdict

import (
	"cmp"
	"slices"
)

// Cell is a cell's pair of settings and its samples. Functions of this package
// read the rates and never sort or change them in place.
type Cell struct {
	Ctx, Batch int
	Rates      []float64 // tokens per second, one or more, in any order
	// Again is the rates of samples that were taken later to be sure of the cell,
	// each after a load of its own.
	Again []float64
	// Default says that Batch is what the server chooses by itself for this Ctx.
	Default bool
}

// Median is the median of the rates in tokens per second, without those taken again; 0 for a
// cell without samples.
func (c Cell) Median() float64 { return Median(c.Rates) }

// Same reports whether two cells have the same settings.
func (c Cell) Same(other Cell) bool { return c.Ctx == other.Ctx && c.Batch == other.Batch }

// samples counts all of them.
func (c Cell) samples() int { return len(c.Rates) + len(c.Again) }

// Median is 0 for no values.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	default:
		return sorted[n/2-1]/2 + sorted[n/2]/2 // halves first: a sum could overflow
	}
}

// No machine evaluates a prompt slower or faster than this, in tokens per
// second. The bounds keep squares and ratios of rates finite.
const slowest, fastest = 1e-9, 1e12

// measured copies the rates that can be measurements, nil where there are none; NaN
// fails both comparisons.
func measured(rates []float64) []float64 {
	var kept []float64
	for _, r := range rates {
		if r >= slowest && r <= fastest {
			kept = append(kept, r)
		}
	}
	return kept
}

// byGrid orders cells by Ctx, then Batch.
func byGrid(a, b Cell) int {
	return cmp.Or(cmp.Compare(a.Ctx, b.Ctx), cmp.Compare(a.Batch, b.Batch))
}

// byPreference puts the cell to prefer at equal speed first: the largest Ctx, because
// more context is what one would rather have, then what the server chooses by
// itself, because nothing need be set, then the smallest Batch, because it takes the
// least memory.
func byPreference(a, b Cell) int {
	return cmp.Or(cmp.Compare(b.Ctx, a.Ctx), compareBool(b.Default, a.Default), cmp.Compare(a.Batch, b.Batch))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
