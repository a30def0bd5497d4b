package verdict

import (
	"cmp"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// Cell is a cell of the grid: its settings and its samples. Functions of this
// package never modify the slices.
type Cell struct {
	cell.Key
	Rates []float64 // tokens per second, one or more, in any order
	// Later holds the rates of later samples that confirm the cell, each measured
	// after a separate load of the model.
	Later []float64
	// Default says that the server itself would choose this Batch for this Ctx.
	Default bool
}

// Median is the median of Rates in tokens per second, without Later; 0 where Rates is
// empty.
func (c Cell) Median() float64 { return Median(c.Rates) }

// samples is the number of samples in Rates and Later.
func (c Cell) samples() int { return len(c.Rates) + len(c.Later) }

// Median returns the median of values, and 0 where there are none.
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

// Rates outside of these bounds, in tokens per second, are not plausible. The
// bounds keep squares and ratios of rates finite.
const slowest, fastest = 1e-9, 1e12

// measured returns a copy of the plausible rates, or nil where there are none.
func measured(rates []float64) []float64 {
	var kept []float64
	for _, r := range rates {
		if r >= slowest && r <= fastest { // false for NaN
			kept = append(kept, r)
		}
	}
	return kept
}

// byGrid orders cells by Ctx, then Batch.
func byGrid(a, b Cell) int {
	return a.Compare(b.Key)
}

// byPreference orders cells of equal speed, the preferred one first: the largest Ctx,
// because more context is more useful, then the server's own Batch, because nothing
// has to be set, then the smallest Batch, because it takes the least memory, then the one
// that leaves the most other settings to the server.
func byPreference(a, b Cell) int {
	return cmp.Or(cmp.Compare(b.Ctx, a.Ctx), compareBool(b.Default, a.Default), cmp.Compare(a.Batch, b.Batch), cmp.Compare(auto(b), auto(a)))
}

// auto is the number of settings that the cell leaves to the server.
func auto(c Cell) (n int) {
	for _, value := range c.Settings.All() {
		if value == cell.Auto {
			n++
		}
	}
	return n
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
