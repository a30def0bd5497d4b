package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
}

// OpenBenchLog brings the file in dir up to the checkpoint, which the sweep
// goes on to fill. Close it in the end.
func OpenBenchLog(dir string, cp *sweep.Checkpoint) (*BenchLog, error) {
	b := &BenchLog{path: filepath.Join(dir, BenchFile), cp: cp}
	return b, b.renew()
}

// renew writes a file with all that the checkpoint holds, which takes its name
// only then: there is never a shorter one than before.
func (b *BenchLog) renew() error {
	b.Close()
	f, err := os.CreateTemp(filepath.Dir(b.path), ".bench-*")
	if err != nil {
		return fmt.Errorf("saving %q: %w", b.path, err)
	}
	b.file, b.lines = f, NewBenchWriter(f, b.cp.Sweep)
	err = errors.Join(b.lines.Checkpoint(b.cp), f.Chmod(0o644))
	if err == nil {
		err = os.Rename(f.Name(), b.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("saving %q: %w", b.path, err), os.Remove(f.Name()))
	}
	return nil
}

// Sample adds the line of a sample of r that the checkpoint holds already.
// Where another process has put its own file in this one's place, as making
// the reports does, that is brought up to date instead.
func (b *BenchLog) Sample(r *sweep.Result, s parse.Sample) error {
	ours, err := b.file.Stat()
	if err != nil {
		return fmt.Errorf("saving %q: %w", b.path, err)
	}
	if there, err := os.Stat(b.path); err != nil || !os.SameFile(ours, there) {
		return b.renew()
	}
	return b.lines.Sample(r, s)
}

// Close closes the file.
func (b *BenchLog) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}
