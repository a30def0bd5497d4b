// Package verdict judges what the samples of a sweep can tell: which cell is
// the fastest, which others cannot be told apart from it, which of them to
// recommend, how much faster one is than another, and whether the machine
// itself grew slower meanwhile.
//
// In go cells of settings with their rates, out come plain values. Nothing is
// read, printed or timed here, no argument is modified, and no result holds
// NaN or an infinity. Rates that are not finite and positive are measurements
// that failed; they are left out wherever they turn up.
package verdict
