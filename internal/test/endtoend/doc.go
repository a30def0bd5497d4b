// Package endtoend tests the sweep from the outside: the test binary in a
// process of its own, on a real engine, with all the files that it leaves. What it stands
// is tested in package survives. It holds tests and benchmarks only.
package endtoend
