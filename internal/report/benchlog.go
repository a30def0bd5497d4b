package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// BenchLog keeps the file of benchmark lines up to date while a sweep runs.
// A sample is added at the end, since writing thousands of lines anew for each
// would cost more than all else.
type BenchLog struct {
	path  string
	cp    *sweep.Checkpoint
	file  *os.File
	lines *BenchWriter
	has   map[sweep.Cell]bool // cells with lines in the file
}

// OpenBenchLog brings the file in dir up to the checkpoint, which the sweep
// goes on to fill. Close it in the end.
func OpenBenchLog(dir string, cp *sweep.Checkpoint) (*BenchLog, error) {
	b := &BenchLog{path: filepath.Join(dir, BenchFile), cp: cp}
	return b, b.renew()
}

// renew writes a file with all that the checkpoint holds, which takes its name
// only then: there is never a shorter one than before.
func (b *BenchLog) renew() (err error) {
	b.Close()
	defer func() {
		if err != nil {
			err = fmt.Errorf("saving %q: %w", b.path, err)
		}
	}()
	var text bytes.Buffer
	b.lines = NewBenchWriter(&text, b.cp.Sweep)
	if err := b.lines.Checkpoint(b.cp); err != nil {
		return err
	}
	if err := renameio.WriteFile(b.path, text.Bytes(), 0o644); err != nil {
		return err
	}
	b.has = make(map[sweep.Cell]bool)
	for i := range b.cp.Results {
		b.has[b.cp.Results[i].Cell()] = true
	}
	b.file, err = os.OpenFile(b.path, os.O_APPEND|os.O_WRONLY, 0)
	b.lines.w = b.file
	return err
}

// Sample adds the line of a sample of r that the checkpoint holds already.
// Where another process has put its own file in this one's place, as making
// the reports does, or the sample is the first of a cell that is measured again,
// the file is brought up to date instead.
func (b *BenchLog) Sample(r *sweep.Result, s parse.Sample) error {
	ours, err := b.file.Stat()
	if err != nil {
		return fmt.Errorf("saving %q: %w", b.path, err)
	}
	replaced := len(r.Samples) == 1 && b.has[r.Cell()]
	if there, err := os.Stat(b.path); err != nil || !os.SameFile(ours, there) || replaced {
		return b.renew()
	}
	b.has[r.Cell()] = true
	return b.lines.Sample(r, s)
}

// Close closes the file.
func (b *BenchLog) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}
