// Package endtoend tests the sweep from the outside: the test binary in a
// process of its own, on a real engine, ended in every way, with all the files
// that it leaves. It holds tests and benchmarks only.
package endtoend
