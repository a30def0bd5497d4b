// Command report writes a sweep's reports from its checkpoint: the table, the heatmap,
// the page, the advice and the benchmark lines. It also works while the sweep is running,
// and on a checkpoint of an older version, which it does not change. Several checkpoints,
// those of shards, are merged first.
//
//	go run ./scripts/report -in results/demo
//	go run ./scripts/report -in results/demo -watch                 # update picture and page until Ctrl-C
//	go run ./scripts/report -in results/my -x num_gpu -y flash_attention   # other axes across and down
//	go run ./scripts/report -in 'results/my-*of4' -out results/my   # merge four shards
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/arguments"
	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/merge"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command with its arguments and streams. It returns the exit code:
// 2 for invalid arguments, 1 for other errors.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	var in []string
	flags.Func("in", "out `folder` of a sweep, or its checkpoint file (default results/demo); several, or a pattern, are merged", func(s string) error {
		in = append(in, s)
		return nil
	})
	var o report.Options
	flags.StringVar(&o.Dir, "out", "", "`folder` for the reports (default: that of the checkpoint, or the common part of the shards' folder names)")
	flags.StringVar(&o.X, "x", "", "`axis` that tables and pictures have across, such as num_gpu (default num_ctx)")
	flags.StringVar(&o.Y, "y", "", "`axis` that they have down (default num_batch); the others are shown side by side or at their best")
	flags.BoolVar(&o.Full, "v", false, "print all text of the page: ties, outliers, drift, hosts, each warning with its cells")
	watch := flags.Bool("watch", false, "update picture and page whenever the checkpoint changes, until Ctrl-C")
	if code, ok := arguments.Parse(flags, args, stdout, stderr, "go run ./scripts/report -h"); !ok {
		return code
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "report: unexpected argument %q: name the folder with -in\n", flags.Arg(0))
		return 2
	}
	if len(in) == 0 {
		in = []string{"results/demo"}
	}
	several := len(in) > 1 || merge.IsPattern(in[0])
	if *watch && several {
		fmt.Fprintln(stderr, "report: -watch needs a single checkpoint")
		return 2
	}
	if err := show(lines.Prose(stdout), in, o, *watch, several); err != nil {
		fmt.Fprintln(stderr, "report:", lines.Text(err.Error()))
		return 1
	}
	return 0
}

// show writes the reports and prints the text.
func show(stdout *lines.ProseWriter, in []string, o report.Options, watch, several bool) (err error) {
	switch {
	case watch:
		ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer release()
		err = report.Watch(ctx, stdout, in[0], o)
	case several:
		err = mergeAll(stdout, in, o)
	default:
		err = report.Remake(stdout, in[0], o)
	}
	return errors.Join(err, stdout.Flush())
}

// mergeAll merges several checkpoints, and writes the merged checkpoint and its reports.
func mergeAll(stdout io.Writer, in []string, o report.Options) error {
	merged, err := merge.Merge(in)
	if err != nil {
		return err
	}
	if o.Dir, err = merged.Folder(o.Dir); err != nil {
		return err
	}
	if err := report.CheckDir(o.Dir); err != nil { // before the checkpoint is written there
		return err
	}
	path, err := merged.Save(o.Dir, time.Now())
	if err != nil {
		return err
	}
	o.Dir = filepath.Dir(path)
	failed := report.Make(stdout, merged.Checkpoint, o)
	fmt.Fprintln(stdout, "Wrote", path)
	return errors.Join(failed, merged.Print(stdout))
}
