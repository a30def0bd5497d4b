// Command report makes a sweep's reports again from its checkpoint: the table,
// the heatmap, the page, the advice and the benchmark lines. It works while the sweep
// still runs, and on the checkpoint of an older tool, which it leaves as it is.
//
//	go run ./scripts/report -in results/demo
//	go run ./scripts/report -in results/demo -watch    # picture and page, until Ctrl-C
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command with its arguments and streams. It returns the exit code:
// 2 for arguments that can't be understood, 1 for what could not be done.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	in := flags.String("in", "results/demo", "out `folder` of a sweep, or its checkpoint file")
	out := flags.String("out", "", "`folder` for the reports (default: that of the checkpoint)")
	watch := flags.Bool("watch", false, "make picture and page anew whenever the checkpoint changes, until Ctrl-C")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "report: unexpected argument %q: name the folder with -in\n", flags.Arg(0))
		return 2
	}
	var err error
	if *watch {
		ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer release()
		err = report.Watch(ctx, stdout, *in, *out)
	} else {
		err = report.Remake(stdout, *in, *out)
	}
	if err != nil {
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
	return 0
}
