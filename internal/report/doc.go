// Package report writes the outputs of a sweep: a table, statistics, benchmark
// lines, a heatmap, an HTML page and advice.
//
// Every output is a pure function of the checkpoint, so it can be made again
// at any time, also while the sweep runs. The package does not measure or
// change a checkpoint, and no output depends on the clock.
package report
