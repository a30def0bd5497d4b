// Package verdict holds the statistics of a sweep. From the samples of its
// cells it finds the fastest cell, the cells that are tied with it, the one to
// recommend, how much faster one cell is than another, and whether the
// machine's speed drifted.
//
// The input is cells with their rates; the output is plain values. The package
// does no I/O and reads no clock, modifies no argument, and returns no NaN or
// infinity. Rates that are not finite and positive are failed measurements;
// every function ignores them.
package verdict
