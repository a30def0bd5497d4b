package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/picture"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// The names of the files that Write makes.
const (
	BenchFile   = outdir.Bench
	TableFile   = outdir.Table
	StatsFile   = outdir.Stats
	HeatmapFile = outdir.Heatmap
	PageFile    = outdir.Page

	FrontierFile    = outdir.Frontier
	ModelfileFile   = outdir.Modelfile
	OptionsFile     = outdir.Options
	EnvironmentFile = outdir.Environment
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

// Write makes the report files of the checkpoint in dir, which it creates where it is
// missing, and returns the names of those that were made. A file is replaced as a whole or left
// as it was; where one can't be written, the others are, and the error names each that is
// missing. Those that hold advice are not there as long as no cell has a rate, and picture and
// page not where a grid is too large for them, of which Print tells.
//
// In a folder that is not a sweep's nothing is written if a file of these names is there.
func Write(dir string, cp *checkpoint.Checkpoint) (files []string, err error) {
	out, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	return writeAll(out, formats, cp)
}

// CheckDir returns an error where Write would refuse the folder, and touches nothing there.
func CheckDir(dir string) error {
	out, err := checkpoint.OpenDir(dir)
	if err != nil || out.Claimed() {
		return err
	}
	return out.Check(Files()...)
}

// prepare opens a folder to write to, which it makes where it is missing.
func prepare(dir string) (*outdir.Dir, error) {
	out, err := checkpoint.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	return out, out.Prepare(Files()...)
}

// Refresh makes picture and page anew, in a folder that is there.
func Refresh(dir string, cp *checkpoint.Checkpoint) error {
	out, err := checkpoint.OpenDir(dir)
	if err != nil {
		return err
	}
	_, err = writeAll(out, looks, cp)
	return err
}

func writeAll(out *outdir.Dir, formats []format, cp *checkpoint.Checkpoint) (files []string, err error) {
	g := newGrid(cp) // so that all say the same, and it is reckoned once
	var errs []error
	for _, f := range formats {
		var buf bytes.Buffer
		switch err := f.write(g, &buf); {
		case errors.Is(err, errNothing), errors.Is(err, picture.ErrTooLarge):
			errs = append(errs, out.Remove(f.file))
			continue
		case err != nil:
			errs = append(errs, err)
			continue
		}
		if err := out.Write(f.file, buf.Bytes()); err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, f.file)
	}
	return files, errors.Join(errs...)
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
func Print(w io.Writer, cp *checkpoint.Checkpoint, o Options) error {
	g := newGrid(cp)
	s := g.stats()
	if !picture.TooLarge(len(g.ctx), len(g.batch)) {
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
		paragraph(&b, "", fmt.Sprintf("Off the grid: %s, kept in the checkpoint and not counted: %s", english.Plural(len(off), "cell", ""), cell.Names(off)))
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
