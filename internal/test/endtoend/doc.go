// Package endtoend tests the sweep from the outside: the test binary in a
// process of its own, on a real engine, with all the files that it writes. Package survives
// tests its fault tolerance. This package has tests and benchmarks only.
package endtoend
