// Package search finds the fastest cells of a grid by measuring few of them. It
// models the logarithm of the prompt eval rate over num_ctx and num_batch as a
// Gaussian process, and predicts from failed cells which others fail. [Best] and
// [Frontier] choose the cell with the highest expected gain, and end when that is
// not worth the time of another cell.
//
// The package measures nothing itself and keeps no state but caches: the next choice
// depends only on the measurements so far, so a search can be resumed.
package search
