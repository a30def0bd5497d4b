// Package simulate plays search strategies on response surfaces whose true rates
// are known: given ones, generated ones, and those that a sweep recorded. A
// strategy sees only noisy measurements of the cells that it asks for; what it
// recommends in the end is held against the truth.
package simulate
