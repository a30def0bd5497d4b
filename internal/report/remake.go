package report

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// Remake prints the report of the checkpoint at in, a sweep's out folder or the
// file itself, and writes the report files to the folder out, or to the
// checkpoint's folder where out is empty.
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

// Make prints the report of the checkpoint and writes the report files to the folder out,
// which it creates if necessary. After an error it continues with the other files; it
// returns all errors.
func Make(stdout io.Writer, cp *checkpoint.Checkpoint, out string, full bool) error {
	printed := Print(stdout, cp, Options{Dir: out, Full: full})
	files, written := Write(out, cp)
	for _, file := range files {
		fmt.Fprintln(stdout, "Wrote", filepath.Join(out, file))
	}
	return errors.Join(printed, written)
}
