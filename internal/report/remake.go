package report

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Remake prints table and statistics of the checkpoint at in, a sweep's out
// folder or the file itself, and writes the report files into the folder out,
// or beside the checkpoint when that is empty.
func Remake(stdout io.Writer, in, out string, full bool) error {
	path, err := sweep.Find(in)
	if err != nil {
		return err
	}
	cp, err := sweep.Load(path)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Dir(path)
	}
	return Make(stdout, cp, out, full)
}

// Make prints table and statistics of the checkpoint and writes the report files into
// the folder out, which it creates where it is missing.
func Make(stdout io.Writer, cp *sweep.Checkpoint, out string, full bool) error {
	if err := Print(stdout, cp, Options{Dir: out, Full: full}); err != nil {
		return err
	}
	files, err := Write(out, cp)
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := fmt.Fprintln(stdout, "Wrote", filepath.Join(out, file)); err != nil {
			return err
		}
	}
	return nil
}
