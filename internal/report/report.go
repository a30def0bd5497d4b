package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize/english"
	"github.com/google/renameio/v2"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// The names of the files that Write makes.
const (
	BenchFile   = "bench.txt"
	TableFile   = "results_table.csv"
	StatsFile   = "results_stats.csv"
	HeatmapFile = "heatmap_highlighted.png"
	PageFile    = "report.html"

	FrontierFile    = "frontier.csv"
	ModelfileFile   = "best.Modelfile"
	OptionsFile     = "best_options.json"
	EnvironmentFile = "best.env"
)

// format is a file and what is in it.
type format struct {
	file  string
	write func(*grid, io.Writer) error
}

// advised is a writer of advice, of which there may be none.
func advised(write func(*advice, io.Writer) error) func(*grid, io.Writer) error {
	return func(g *grid, w io.Writer) error {
		a := g.advice()
		if a == nil || a.Kind == sweep.NoAdvice {
			return errNothing
		}
		return write(a, w)
	}
}

// formats lists the files in the order in which they are made.
var formats = []format{
	{BenchFile, (*grid).writeBench},
	{TableFile, (*grid).writeTable},
	{StatsFile, (*grid).writeStats},
	{HeatmapFile, (*grid).writeHeatmap},
	{PageFile, (*grid).writePage},
	{FrontierFile, (*grid).writeFrontier},
	{ModelfileFile, advised((*advice).writeModelfile)},
	{OptionsFile, advised((*advice).writeOptions)},
	{EnvironmentFile, advised((*advice).writeEnvironment)},
}

// looks are the files that somebody looks at while a sweep runs.
var looks = []format{{HeatmapFile, (*grid).writeHeatmap}, {PageFile, (*grid).writePage}}

// Write makes the report files of the checkpoint in dir, which it creates where
// it is missing, and returns their names. A file is replaced as a whole or left as it
// was. Those that hold advice are not there as long as no cell has a rate, and picture
// and page not where a grid is too large for them, of which Print tells.
func Write(dir string, cp *sweep.Checkpoint) (files []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("creating report folder: %w", err)
	}
	return writeAll(formats, dir, cp)
}

// Refresh makes picture and page anew, in a folder that is there.
func Refresh(dir string, cp *sweep.Checkpoint) error {
	_, err := writeAll(looks, dir, cp)
	return err
}

func writeAll(formats []format, dir string, cp *sweep.Checkpoint) (files []string, err error) {
	g := newGrid(cp) // so that all say the same, and it is reckoned once
	for _, f := range formats {
		var buf bytes.Buffer
		path := filepath.Join(dir, f.file)
		err := f.write(g, &buf)
		if errors.Is(err, errNothing) || errors.Is(err, errTooLarge) {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("removing what no longer holds: %w", err)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := renameio.WriteFile(path, buf.Bytes(), 0o644); err != nil {
			return nil, fmt.Errorf("saving %q: %w", path, err)
		}
		files = append(files, f.file)
	}
	return files, nil
}

// Files returns the names of all files that Write can make.
func Files() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.file)
	}
	return names
}

// Options say how Print reports.
type Options struct {
	Dir  string // of the checkpoint and its reports, for commands; empty where it is not known
	Full bool   // with all that the page has in words
}

// Print writes the table, the advice, how far that is certain and what to do next, for a
// terminal. No line starts like a key of the benchmark format, so that it may follow benchmark
// lines.
func Print(w io.Writer, cp *sweep.Checkpoint, o Options) error {
	g := newGrid(cp)
	s := g.stats()
	if !tooLarge(g.ctx, g.batch) {
		if err := g.printTable(w, s); err != nil {
			return fmt.Errorf("printing table: %w", err)
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return fmt.Errorf("printing statistics: %w", err)
		}
	}
	if a := g.advice(); a != nil {
		if err := a.print(w, o.Dir); err != nil {
			return fmt.Errorf("printing advice: %w", err)
		}
	}
	if text := g.nothingWorks(s); text != "" {
		if _, err := fmt.Fprintln(w, "Advice: "+text); err != nil {
			return fmt.Errorf("printing advice: %w", err)
		}
	}
	if err := s.print(w, o.Full); err != nil {
		return fmt.Errorf("printing statistics: %w", err)
	}
	var b strings.Builder
	if off := cp.OffGrid(); len(off) > 0 {
		paragraph(&b, "", fmt.Sprintf("Off the grid: %s, kept in the checkpoint and not counted: %s", english.Plural(len(off), "cell", ""), sweep.Cells(off)))
	}
	if o.Full && s.Verdict != nil {
		printVerdict(&b, s)
	}
	if o.Full || len(cp.Sweep.Merged) > 0 { // a merge is for that
		printHosts(&b, s)
	}
	if o.Full && s.Verdict != nil {
		if text := g.memoryEnd().text(); text != "" {
			paragraph(&b, "", "Memory: "+text)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("printing verdict: %w", err)
	}
	if err := printWarnings(w, cp, o.Full); err != nil {
		return fmt.Errorf("printing warnings: %w", err)
	}
	return nil
}
