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

// The names of the files that [Write] makes.
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

// format is a report file and the function that writes its content.
type format struct {
	file  string
	write func(*grid, io.Writer) error
}

// advised adapts a writer of advice to a format; it returns errNothing without advice.
func advised(write func(*advice, io.Writer) error) func(*grid, io.Writer) error {
	return func(g *grid, w io.Writer) error {
		a := g.advice()
		if a == nil || a.Kind == sweep.NoAdvice {
			return errNothing
		}
		return write(a, w)
	}
}

// formats lists the report files in the order in which they are written.
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

// liveFormats are the files that are updated while a sweep runs.
var liveFormats = []format{{HeatmapFile, (*grid).writeHeatmap}, {PageFile, (*grid).writePage}}

// Write writes the report files of the checkpoint to dir, which it creates if necessary, and
// returns the names of the written files. Files are replaced atomically. Where one can't be
// written, the others still are, and the error names each that is missing. Files with advice
// are removed while no cell has a rate; picture and page are removed where the grid is too
// large for them, which [Print] warns of.
//
// In a folder that does not belong to a sweep, Write refuses to replace existing files: it then
// writes nothing.
func Write(dir string, cp *checkpoint.Checkpoint) (files []string, err error) {
	return write(dir, newGrid(cp), formats)
}

func write(dir string, g *grid, formats []format) (files []string, err error) {
	out, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	return writeAll(out, formats, g)
}

// CheckDir returns an error where [Write] would refuse the folder. It changes nothing there.
func CheckDir(dir string) error {
	out, err := checkpoint.OpenDir(dir)
	if err != nil || out.Claimed() {
		return err
	}
	return out.Check(Files()...)
}

// prepare opens a folder for writing, and creates it if necessary.
func prepare(dir string) (*outdir.Dir, error) {
	out, err := checkpoint.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	return out, out.Prepare(Files()...)
}

// Refresh writes picture and page again, in an existing folder.
func Refresh(dir string, cp *checkpoint.Checkpoint) error {
	out, err := checkpoint.OpenDir(dir)
	if err != nil {
		return err
	}
	_, err = writeAll(out, liveFormats, newGrid(cp))
	return err
}

// writeAll writes the files of one grid, which computes the verdict once for all of them.
func writeAll(out *outdir.Dir, formats []format, g *grid) (files []string, err error) {
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

// Files returns the names of all files that [Write] can make.
func Files() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.file)
	}
	return names
}

// Options are the options of [Print] and [Make].
type Options struct {
	Dir  string // folder of the checkpoint and its reports, for printed commands; empty where unknown
	Full bool   // print all texts that the page has
	// X and Y are the names of the axes that tables and pictures show; an empty one is num_ctx or num_batch.
	X, Y string
}

// Print writes table, advice, statistics and warnings for a terminal. No line looks like a
// configuration line of the benchmark format, so the text may follow benchmark lines.
func Print(w io.Writer, cp *checkpoint.Checkpoint, o Options) error {
	g := newGrid(cp)
	if err := g.show(o.X, o.Y); err != nil {
		return err
	}
	return g.print(w, o)
}

func (g *grid) print(w io.Writer, o Options) error {
	cp, s := g.cp, g.stats()
	if !g.tooLarge() {
		if err := g.printTable(w, s); err != nil {
			return fmt.Errorf("printing table: %w", err)
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return fmt.Errorf("printing statistics: %w", err)
		}
	}
	if a := g.advice(); a != nil {
		if err := printEffects(w, a.effects); err != nil {
			return fmt.Errorf("printing effects: %w", err)
		}
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
	if o.Full || len(cp.Sweep.Merged) > 0 { // hosts matter in a merged sweep
		printHosts(&b, s)
	}
	if o.Full && s.Verdict != nil {
		if text := g.memoryLimit().text(); text != "" {
			paragraph(&b, "", "Memory: "+text)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("printing verdict: %w", err)
	}
	if err := g.printWarnings(w, o.Full); err != nil {
		return fmt.Errorf("printing warnings: %w", err)
	}
	return nil
}
