// Package sweeptest starts sweeps for tests: the test binary in a process of its own, as
// `go test -run Sweep` starts it, on an engine or on a simulated server. It has the code that
// several test packages share, and no tests.
package sweeptest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ramdir"
)

// Root is the root of the repository, in which users run `go test -run Sweep`, from the folder of the tests.
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

// binary is the file of the sweep's test binary. raced is built with the race detector if these
// tests are; each picture then takes seconds.
var binary, raced string

// Binary returns the file of the sweep's test binary.
func Binary() string { return binary }

// Main is a TestMain for tests of sweeps. It builds the binary and runs the tests, once for each
// ollama command in SWEEP_OLLAMA if that is set. With -short it does neither. It returns the exit
// code.
func Main(m *testing.M) int {
	// The tests wait more than they compute. A flag of the user overrides this.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Parse()
	if testing.Short() {
		fmt.Println("-short: skipping all tests, which need a build of the sweep")
		return 0
	}
	// Under nohup, child processes would inherit that SIGHUP is ignored. With a handler here they
	// start with the default.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	ramdir.Use()
	debug.SetGCPercent(1000) // as in the sweep itself, whose overhead benchmarks measure
	dir, err := os.MkdirTemp("", "ollama-sweep-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sweep.test")
	raced = binary
	err = build(binary)
	if err == nil && race.Enabled() {
		raced = filepath.Join(dir, "raced.test")
		err = build(raced, "-race")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building the sweep:", err)
		return 1
	}
	return runOnEachOllama(m)
}

// build builds the sweep's test binary.
func build(file string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"test", "-c", "-ldflags=-s -w", "-o", file}, flags...), ".")...)
	cmd.Dir = Root
	cmd.Stderr = os.Stderr
	return cmd.Run()
}
