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

// BenchLog keeps the file of benchmark lines up to date while a sweep runs.
// A sample is added at the end, since writing thousands of lines anew for each
// would cost more than all else.
type BenchLog struct {
	dir   string
	cp    *checkpoint.Checkpoint
	file  *os.File
	lines *BenchWriter
	has   map[cell.Key]bool // cells with lines in the file
}

// OpenBenchLog brings the file in dir up to the checkpoint, which the sweep
// goes on to fill. Close it in the end.
func OpenBenchLog(dir string, cp *checkpoint.Checkpoint) (*BenchLog, error) {
	b := &BenchLog{dir: dir, cp: cp}
	return b, b.renew()
}

// renew writes a file with all that the checkpoint holds, which takes its name
// only then: there is never a shorter one than before.
func (b *BenchLog) renew() error {
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

// Sample adds the line of a sample of r that the checkpoint holds already. The file is
// brought up to date instead where another process has put its own file in this one's
// place, as making the reports does, where the last line could not be added, and where the
// sample is the first of a cell that is measured again.
func (b *BenchLog) Sample(r *checkpoint.Result, s measurement.Sample) error {
	if replaced := len(r.Samples) == 1 && b.has[r.Cell()]; replaced || !b.current() {
		return b.renew()
	}
	b.has[r.Cell()] = true
	err := b.lines.Sample(r, s)
	if err != nil {
		b.Close()
		err = fmt.Errorf("saving %q: %w", filepath.Join(b.dir, BenchFile), err)
	}
	return err
}

// current reports whether the file that lines are added to still has its name.
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
