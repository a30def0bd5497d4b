// Package simulate plays search strategies on response surfaces whose true rates
// are known: from a file, from a generator, or from the checkpoint of a sweep. A
// strategy sees only noisy measurements of the cells that it chooses; the cell that
// it recommends in the end is compared with the fastest.
package simulate
