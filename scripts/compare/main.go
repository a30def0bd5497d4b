// Command compare compares a new sweep with an old one: which cells became slower
// or faster, by how much, and whether the change is significant. It writes
// summary.md, for a CI job's summary, and changes.png.
//
//	go run ./scripts/compare results/before results/after
//	go run ./scripts/compare -max-regress 5% results/before results/after    # for CI
//	go run ./scripts/compare -axis flash_attention results/my                # its values, in one sweep
//
// The exit code is 1 when -max-regress is given and a cell or the mean is
// significantly slower by more than that, or a cell that had a rate fails; 2 when
// the sweeps can't be compared; 0 otherwise.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/arguments"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/compare"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/lines"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command with its arguments and streams. It returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "compare [flags] OLD NEW: out folders of sweeps, or their checkpoint files; one with -axis")
		flags.PrintDefaults()
	}
	out := flags.String("out", "", "`folder` for summary.md and changes.png (default: that of NEW)")
	limit := config.Tolerance(-1)
	flags.Func("max-regress", "largest loss that passes, like `5%`; a larger one, if significant, gives exit code 1", func(s string) (err error) {
		if limit, err = config.ParseTolerance(s); err == nil && !(limit >= 0 && limit < 1) {
			err = errors.New("it must be at least 0% and below 100%")
		}
		return err
	})
	axis := flags.String("axis", "", "compare the values of this `axis`, such as flash_attention, within one sweep")
	if code, ok := arguments.Parse(flags, args, stdout, stderr, "go run ./scripts/compare -h"); !ok {
		return code
	}
	switch {
	case *axis != "" && (*out != "" || limit >= 0):
		fmt.Fprintln(stderr, "compare: -out and -max-regress are for two sweeps, not for -axis, which writes no files")
		return 2
	case *axis != "" && flags.NArg() == 1:
		prose := lines.Prose(stdout)
		if err := errors.Join(printAxis(prose, flags.Arg(0), *axis), prose.Flush()); err != nil {
			fmt.Fprintln(stderr, "compare:", lines.Text(err.Error()))
			return 2
		}
		return 0
	case *axis != "" || flags.NArg() != 2:
		flags.Usage()
		return 2
	}
	c, dir, err := comparison(flags.Arg(0), flags.Arg(1), max(0, float64(limit)))
	if err == nil {
		prose := lines.Prose(stdout)
		err = errors.Join(c.Print(prose), write(c, cmp.Or(*out, dir), prose), prose.Flush())
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "compare:", lines.Text(err.Error()))
		return 2
	case limit >= 0 && c.Failed():
		return 1
	}
	return 0
}

// printAxis prints the comparisons of the values of an axis.
func printAxis(w io.Writer, in, axis string) error {
	cp, _, err := load(in)
	if err != nil {
		return err
	}
	comparisons, err := compare.Axis(cp, axis)
	if err != nil {
		return err
	}
	for i, c := range comparisons {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := c.Print(w); err != nil {
			return err
		}
	}
	return nil
}

// comparison reads and compares both sweeps. It also returns the folder of the new one.
func comparison(old, new string, limit float64) (*compare.Comparison, string, error) {
	before, _, err := load(old)
	if err != nil {
		return nil, "", err
	}
	after, path, err := load(new)
	if err != nil {
		return nil, "", err
	}
	c, err := compare.Compare(before, after, limit)
	if err != nil {
		return nil, "", err
	}
	c.OldName, c.NewName = old, new
	return c, filepath.Dir(path), nil
}

// load reads the checkpoint of an out folder, or a checkpoint file. It also returns the file's
// path.
func load(in string) (*checkpoint.Checkpoint, string, error) {
	path, err := checkpoint.Find(in)
	if err != nil {
		return nil, "", err
	}
	cp, err := checkpoint.Load(path)
	return cp, path, err
}

func write(c *compare.Comparison, out string, stdout io.Writer) error {
	files, err := c.Write(out)
	for _, file := range files {
		fmt.Fprintln(stdout, "Wrote", filepath.Join(out, file))
	}
	return err
}
