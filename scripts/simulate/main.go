// Command simulate plays search strategies on response surfaces whose true rates
// are known, and on the checkpoint of a sweep: would a search have found the best
// cell?
//
//	go run ./scripts/simulate -strategy best,frontier results/my/benchmark_results.json
//
// A strategy sees only noisy measurements of the cells that it chooses. Golden
// sections, random cells and the exhaustive sweep are always included for comparison.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/arguments"
	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/simulate"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command with its arguments and streams. It returns the exit code:
// 2 for invalid arguments, 1 for other errors.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: simulate [flags] FILE…\nA file is a surface or a sweep's checkpoint.")
		flags.PrintDefaults()
	}
	strategies := flags.String("strategy", "best", "comma-separated `names` out of "+strings.Join(simulate.Strategies, ", "))
	seeds := flags.Int("seeds", 20, "`plays` of each strategy on each surface")
	generated := flags.Int("generated", 0, "`number` of surfaces to generate in addition to the files")
	axes := flags.Int("axes", 0, "`number` of surfaces over more axes to generate, on which a search is compared with as many random cells and with one axis at a time; without other surfaces")
	draw := flags.Uint64("draw", 1, "`seed` of the generated surfaces")
	tolerance := flags.Float64("tolerance", 0.01, "difference in rate that is not worth another cell; 0.01 is 1 %")
	hide := flags.Bool("hide-sizes", false, "hide the sizes of loaded models from the searches")
	hideProbes := flags.Bool("hide-probes", false, "let the searches measure without probes")
	asJSON := flags.Bool("json", false, "print JSON for programs")
	if code, ok := arguments.Parse(flags, args, stdout, stderr, "go run ./scripts/simulate -h"); !ok {
		return code
	}
	o := simulate.Options{Strategies: strings.Split(*strategies, ","), Seeds: *seeds, Tolerance: *tolerance, HideSizes: *hide, HideProbes: *hideProbes}
	if err := o.Check(); err != nil {
		fmt.Fprintln(stderr, "simulate:", lines.Text(err.Error()))
		return 2
	}
	if *axes > 0 {
		return compareAxes(o, *axes, *draw, flags.NArg()+*generated, *asJSON, stdout, stderr)
	}
	if flags.NArg() == 0 && *generated < 1 {
		fmt.Fprintln(stderr, "simulate: no surfaces: name files, or generate some with -generated N")
		return 2
	}
	if *generated > simulate.Most {
		fmt.Fprintf(stderr, "simulate: -generated: %d surfaces are too many: %d is the most\n", *generated, simulate.Most)
		return 2
	}
	surfaces := simulate.Generate(*generated, *draw)
	for _, file := range flags.Args() {
		s, err := simulate.Read(file)
		if err != nil {
			fmt.Fprintln(stderr, "simulate:", lines.Text(err.Error()))
			return 1
		}
		if s.Missing > 0 {
			fmt.Fprintf(stderr, "simulate: warning: %s has no result for %d of its %d cells; searches are played on the others only, which is easier\n",
				file, s.Missing, s.Missing+len(s.Plan))
		}
		surfaces = append(surfaces, s)
	}
	m := newMeter(stderr, o, len(surfaces))
	o.OnPlay = m.count
	end := m.run()
	comparison := simulate.Compare(surfaces, o)
	end()
	if err := write(stdout, comparison, *asJSON); err != nil {
		fmt.Fprintln(stderr, "simulate:", lines.Text(err.Error()))
		return 1
	}
	return 0
}

// compareAxes compares strategies on generated surfaces over more axes. others is the number of other
// surfaces that were asked for.
func compareAxes(o simulate.Options, n int, draw uint64, others int, asJSON bool, stdout, stderr io.Writer) int {
	switch {
	case others > 0:
		fmt.Fprintln(stderr, "simulate: -axes generates its surfaces: use it without files and without -generated")
		return 2
	case len(o.Strategies) != 1 || !isSearch(o.Strategies[0]):
		fmt.Fprintln(stderr, "simulate: -axes plays one search: -strategy best or -strategy frontier")
		return 2
	case n > simulate.Most:
		fmt.Fprintf(stderr, "simulate: -axes: %d surfaces are too many: %d is the most\n", n, simulate.Most)
		return 2
	}
	if err := write(stdout, simulate.CompareAxes(simulate.GenerateAxes(n, draw), o), asJSON); err != nil {
		fmt.Fprintln(stderr, "simulate:", lines.Text(err.Error()))
		return 1
	}
	return 0
}

func isSearch(strategy string) bool {
	_, ok := search.KindOf(strategy)
	return ok
}

func write(w io.Writer, c simulate.Comparison, asJSON bool) error {
	if !asJSON {
		prose := lines.Prose(w)
		return errors.Join(c.Print(prose), prose.Flush())
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(c)
}
