// Package ollamasweep is the sweep as a Go test: one subtest per cell, a num_ctx with
// a num_batch, measured on a real Ollama.
//
//	go test -run Sweep -timeout 0                    # a tiny model on the embedded engine
//	go test -run Sweep -timeout 0 -config my.yaml    # your model on your server
package ollamasweep

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/ollama-sweep/ollama-sweep/internal/arguments"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/setup"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

var (
	configFile = flag.String("config", "testdata/demo.yaml", "`file` that describes the sweep")
	overrides  config.Overrides
)

func TestMain(m *testing.M) {
	log.SetOutput(lines.Comments(os.Stderr)) // libraries log here
	overrides.Register(flag.CommandLine)
	if code, ok := parseFlags(); !ok {
		os.Exit(code)
	}
	// The client library allocates 8 MB for each request, so that the garbage
	// collector would run during every measurement: 3 ms per cell. The api runner
	// runs it while the server loads.
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

// listFlags is the command that lists the flags. Without -args, go test itself reads the -h.
const listFlags = "go test -run Sweep -args -h"

// parseFlags reads the flags before package testing does. It returns false and the exit
// code where the run ends with that.
func parseFlags() (code int, ok bool) {
	flags := flag.CommandLine
	flags.Init("the sweep", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "Flags of the sweep; docs/config.md explains them, and `go help testflag` those of go test:")
		arguments.Without("test.", flags).PrintDefaults()
	}
	code, ok = arguments.Parse(flags, os.Args[1:], os.Stdout, os.Stderr, listFlags)
	if ok && flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument %q: flags after it are ignored; write boolean flags like -fresh=false\n`%s` lists the flags\n", flags.Arg(0), listFlags)
		return 2, false
	}
	return code, ok
}

// TestSweep measures the cells that are not in the checkpoint yet, each in its own
// subtest. The subtest of a failed cell is skipped with the reason, since a failure
// is data.
func TestSweep(t *testing.T) {
	pattern, skipped := flag.Lookup("test.run").Value.String(), flag.Lookup("test.skip").Value.String()
	if pattern == "" && flag.Lookup("config").Value.String() == flag.Lookup("config").DefValue {
		t.Skip("measures a real Ollama for seconds to days; start it with go test -run Sweep -timeout 0")
	}
	deadline, _ := t.Deadline()
	ctx, stdout, release := setup.Interruptible(context.Background(), os.Stdout)
	t.Cleanup(release)
	var terminal *os.File
	if setup.IsTerminal(os.Stdout) && !testing.Verbose() { // lines of -v would break a progress bar
		terminal = os.Stdout
	}
	b, err := setup.Open(ctx, setup.Options{
		Config:       *configFile,
		Overrides:    &overrides,
		EngineSource: "scripts/engine",
		Stdout:       stdout,
		Terminal:     terminal,
		Deadline:     deadline,
		Filtered:     strings.Contains(pattern+skipped, "/"),
		Named:        strings.Contains(pattern, "/"),
	})
	if err != nil {
		t.Fatal(lines.Text(err.Error()))
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(lines.Text(err.Error()))
		}
	})

	summary := b.Run(ctx, func(name string, measure func() sweep.Outcome) {
		t.Run(name, func(t *testing.T) {
			switch outcome := measure(); {
			case outcome.Err != nil:
				t.Skip(lines.Text("the sweep stops: " + outcome.Err.Error()))
			case outcome.Skip != "":
				t.Skip(lines.Text(outcome.Skip))
			}
		})
	})

	if err := b.Report(summary); err != nil {
		t.Error(lines.Text(err.Error()))
	}
	switch err := summary.Usable(); {
	case errors.Is(err, sweep.ErrNoCell) && skipped != "":
		t.Error(lines.Text(fmt.Sprintf("-run %q -skip %q: %v", pattern, skipped, err)))
	case errors.Is(err, sweep.ErrNoCell):
		t.Error(lines.Text(fmt.Sprintf("-run %q: %v", pattern, err)))
	case err != nil:
		t.Error(lines.Text(err.Error()))
	}
}
