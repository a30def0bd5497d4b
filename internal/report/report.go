package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// The names of the files that Write makes.
const (
	BenchFile   = "bench.txt"
	TableFile   = "results_table.csv"
	StatsFile   = "results_stats.csv"
	HeatmapFile = "heatmap_highlighted.png"
)

// formats lists the files in the order in which they are made.
var formats = []struct {
	file  string
	write func(io.Writer, *sweep.Checkpoint) error
}{
	{BenchFile, WriteBench},
	{TableFile, WriteTable},
	{StatsFile, WriteStats},
	{HeatmapFile, WriteHeatmap},
}

// Write makes all report files of the checkpoint in dir, which it creates where
// it is missing. A file is replaced as a whole or left as it was.
func Write(dir string, cp *sweep.Checkpoint) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating report folder: %w", err)
	}
	for _, f := range formats {
		var buf bytes.Buffer
		if err := f.write(&buf, cp); err != nil {
			return err
		}
		path := filepath.Join(dir, f.file)
		if err := renameio.WriteFile(path, buf.Bytes(), 0o644); err != nil {
			return fmt.Errorf("saving %q: %w", path, err)
		}
	}
	return nil
}

// Files returns the paths of the files that Write makes in dir.
func Files(dir string) []string {
	var paths []string
	for _, f := range formats {
		paths = append(paths, filepath.Join(dir, f.file))
	}
	return paths
}

// Print writes the table and the statistics for a terminal. No line starts
// like a key of the benchmark format, so that it may follow benchmark lines.
func Print(w io.Writer, cp *sweep.Checkpoint) error {
	g := newGrid(cp)
	s := g.stats()
	if err := g.printTable(w, s); err != nil {
		return fmt.Errorf("printing table: %w", err)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return fmt.Errorf("printing statistics: %w", err)
	}
	if err := s.Print(w); err != nil {
		return fmt.Errorf("printing statistics: %w", err)
	}
	if err := printWarnings(w, cp); err != nil {
		return fmt.Errorf("printing warnings: %w", err)
	}
	return nil
}
