package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// BenchLog keeps the file of benchmark lines up to date while a sweep runs. It
// appends each sample, because rewriting thousands of lines for each would be
// too slow.
type BenchLog struct {
	dir   string
	cp    *checkpoint.Checkpoint
	file  *os.File
	lines *BenchWriter
	has   map[cell.Key]bool // cells with lines in the file
}

// OpenBenchLog writes the samples of cp to the file in dir and opens it for more.
// The sweep adds its samples to cp first. The caller must close the log.
func OpenBenchLog(dir string, cp *checkpoint.Checkpoint) (*BenchLog, error) {
	b := &BenchLog{dir: dir, cp: cp}
	return b, b.rewrite()
}

// rewrite replaces the file by one with all samples of the checkpoint. The replacement is
// atomic, so that no reader sees a shorter file than before.
func (b *BenchLog) rewrite() error {
	b.Close()
	out, err := checkpoint.OpenDir(b.dir)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	b.lines = NewBenchWriter(&text, b.cp.Sweep)
	if err := b.lines.Checkpoint(b.cp); err != nil {
		return err
	}
	if err := out.Write(BenchFile, text.Bytes()); err != nil {
		return err
	}
	b.has = make(map[cell.Key]bool)
	for i := range b.cp.Results {
		b.has[b.cp.Results[i].Cell()] = true
	}
	b.file, err = out.Append(BenchFile, 0o644)
	b.lines.w = b.file
	return err
}

// Sample appends the line of a sample of r, which must already be in the checkpoint. It
// rewrites the file instead where another process has replaced it (as the report command
// does), where appending failed before, and for the first sample of a cell that is measured
// again.
func (b *BenchLog) Sample(r *checkpoint.Result, s measurement.Sample) error {
	if replaced := len(r.Samples) == 1 && b.has[r.Cell()]; replaced || !b.current() {
		return b.rewrite()
	}
	b.has[r.Cell()] = true
	err := b.lines.Sample(r, s)
	if err != nil {
		b.Close()
		err = fmt.Errorf("saving %q: %w", filepath.Join(b.dir, BenchFile), err)
	}
	return err
}

// current reports whether the open file is still the one under its name.
func (b *BenchLog) current() bool {
	if b.file == nil {
		return false
	}
	ours, err := b.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(filepath.Join(b.dir, BenchFile))
	return err == nil && os.SameFile(ours, there)
}

// Close closes the file.
func (b *BenchLog) Close() error {
	if b.file == nil {
		return nil
	}
	file := b.file
	b.file = nil
	return file.Close()
}
