// Command resume prepares a sweep that exists in two places to be resumed: for each out folder
// in -from, it leaves in -into the copy with more samples, and keeps next to it what only the
// other copy has.
//
//	go run ./scripts/resume -from results -into /var/lib/sweeps
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/arguments"
	"github.com/ollama-sweep/ollama-sweep/internal/copies"
	"github.com/ollama-sweep/ollama-sweep/internal/lines"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command with its arguments and streams. It returns the exit code:
// 2 for invalid arguments, 1 for other errors.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("resume", flag.ContinueOnError)
	from := flags.String("from", "", "`folder` of out folders, which is not changed")
	into := flags.String("into", "", "`folder` of out folders, in which the sweep is resumed")
	if code, ok := arguments.Parse(flags, args, stdout, stderr, "go run ./scripts/resume -h"); !ok {
		return code
	}
	if flags.NArg() > 0 || *from == "" || *into == "" {
		fmt.Fprintln(stderr, "resume: name two folders, with -from and -into")
		return 2
	}
	prose := lines.Prose(stdout)
	err := copies.Resume(*from, *into, time.Now(), prose)
	if err := errors.Join(err, prose.Flush()); err != nil {
		fmt.Fprintln(stderr, "resume:", lines.Text(err.Error()))
		return 1
	}
	return 0
}
