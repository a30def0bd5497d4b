package report

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// Remake prints table and statistics of the checkpoint at in, a sweep's out
// folder or the file itself, and writes the report files into the folder out,
// or beside the checkpoint when that is empty.
func Remake(stdout io.Writer, in, out string, full bool) error {
	path, err := checkpoint.Find(in)
	if err != nil {
		return err
	}
	cp, err := checkpoint.Load(path)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Dir(path)
	}
	return Make(stdout, cp, out, full)
}

// Make prints table and statistics of the checkpoint and writes the report files into
// the folder out, which it creates where it is missing. What fails stops nothing else.
func Make(stdout io.Writer, cp *checkpoint.Checkpoint, out string, full bool) error {
	printed := Print(stdout, cp, Options{Dir: out, Full: full})
	files, written := Write(out, cp)
	for _, file := range files {
		fmt.Fprintln(stdout, "Wrote", filepath.Join(out, file))
	}
	return errors.Join(printed, written)
}
