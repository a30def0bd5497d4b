// Package sweeptest starts sweeps for tests: the test binary in a process of its own, as
// `go test -run Sweep` starts it, on an engine or on a server that is simulated. It holds
// what several packages of tests share and no test.
package sweeptest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
)

// Root is the repository's, where `go test -run Sweep` is typed, from the folder of the tests.
var Root = root()

func root() string {
	dir := "."
	for range 5 {
		if _, err := os.Stat(filepath.Join(dir, "sweep_test.go")); err == nil {
			return dir
		}
		dir = filepath.Join(dir, "..")
	}
	return "the repository's root was not found"
}

// binary is what `go test` builds and runs there, and raced the same with the
// race detector where the tests have it. With it, every picture takes seconds.
var binary, raced string

// Binary returns the file of the sweep's test binary.
func Binary() string { return binary }

// Main is a TestMain for tests of sweeps: it builds the binary and runs the tests, on each
// ollama command of SWEEP_OLLAMA where that is set. With -short it does neither. It returns the
// exit code.
func Main(m *testing.M) int {
	flag.Parse()
	if testing.Short() {
		fmt.Println("-short: no sweep is built, and so none tested")
		return 0
	}
	// Where nohup has it ignored, the sweeps that are started would too: a handler
	// here gives them the default.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	debug.SetGCPercent(1000) // as in the sweep itself, whose overhead is measured here
	dir, err := os.MkdirTemp("", "ollama-sweep-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, raced = filepath.Join(dir, "sweep.test"), filepath.Join(dir, "raced.test")
	for file, race := range map[string]bool{binary: false, raced: underRaceDetector()} {
		build := exec.Command("go", "test", "-c", "-o", file, fmt.Sprintf("-race=%v", race), ".")
		build.Dir = Root
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building the sweep:", err)
			return 1
		}
	}
	return onEach(m)
}

func underRaceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}
