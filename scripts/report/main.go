// Command report makes a sweep's reports again from its checkpoint: the table,
// the heatmap and the benchmark lines. It works while the sweep still runs, and
// on the checkpoint of an older tool, which it leaves as it is.
//
//	go run ./scripts/report -in results/demo
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command with its arguments and streams. It returns the exit code:
// 2 for arguments that can't be understood, 1 for what could not be done.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	in := flags.String("in", "results/demo", "out `folder` of a sweep, or its checkpoint file")
	out := flags.String("out", "", "`folder` for the reports (default: that of the checkpoint)")
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
	if err := remake(stdout, *in, *out); err != nil {
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
	return 0
}

// remake prints the reports of the checkpoint at in and writes the files.
func remake(stdout io.Writer, in, out string) error {
	path, err := checkpointPath(in)
	if err != nil {
		return err
	}
	cp, err := sweep.Load(path)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Dir(path)
	}
	if err := report.Print(stdout, cp); err != nil {
		return err
	}
	if err := report.Write(out, cp); err != nil {
		return err
	}
	for _, file := range report.Files(out) {
		if _, err := fmt.Fprintln(stdout, "Wrote", file); err != nil {
			return err
		}
	}
	return nil
}

// checkpointPath returns the checkpoint that in names: the file itself or the
// one in a folder.
func checkpointPath(in string) (string, error) {
	if in == "" {
		return "", errors.New("no -in: name the out folder of a sweep, or its checkpoint file")
	}
	info, err := os.Stat(in)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s does not exist: run a sweep first, or name its out folder with -in", in)
	case err != nil:
		return "", fmt.Errorf("looking for the checkpoint: %w", err)
	case !info.IsDir():
		return in, nil
	}
	path := filepath.Join(in, sweep.FileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s holds no %s: -in names the out folder of a sweep", in, sweep.FileName)
	}
	return path, nil
}
