// Package race lets tests of computation go without the race detector.
package race

import (
	"runtime/debug"
	"slices"
	"testing"
)

// Enabled reports whether the tests run under the race detector.
func Enabled() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}

// SkipSequential skips a test with -short that computes for long, and under the race detector, with
// which it takes many times as long and has one goroutine. scripts/ci/test runs the tests that call it
// without the detector too.
func SkipSequential(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("computes for long")
	}
	if Enabled() {
		t.Skip("one goroutine, and slow under the race detector: run without -race")
	}
}

// SkipRepeated skips a test under the race detector whose sweep runs the same goroutines as sweeps of
// other tests, and takes many times as long with it: it is about files, other programs or the server.
// scripts/ci/test runs the tests that call it without the detector too.
func SkipRepeated(t testing.TB) {
	t.Helper()
	if Enabled() {
		t.Skip("slow under the race detector, which other sweeps run under: run without -race")
	}
}
