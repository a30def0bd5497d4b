// Package search finds the fastest cells of a grid by measuring few of them. It
// holds what is known of the surfaces that prompt eval rates make over num_ctx
// and num_batch as a Gaussian process on the logarithm of the rate, and of
// failures what they tell of other cells; [Best] and [Frontier] measure where
// that promises most, and end where another cell is not worth its time.
//
// It measures nothing itself and keeps no state but caches: what it wants next
// follows from what was measured so far.
package search
