package report

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// Remake prints the report of the checkpoint at in, a sweep's out folder or the
// file itself, and writes the report files to the folder o.Dir, or to the
// checkpoint's folder where o.Dir is empty.
func Remake(stdout io.Writer, in string, o Options) error {
	path, err := checkpoint.Find(in)
	if err != nil {
		return err
	}
	cp, err := checkpoint.Load(path)
	if err != nil {
		return err
	}
	if o.Dir == "" {
		o.Dir = filepath.Dir(path)
	}
	return Make(stdout, cp, o)
}

// Make prints the report of the checkpoint and writes the report files to the folder o.Dir,
// which it creates if necessary. After an error it continues with the other files; it
// returns all errors. It writes nothing where the sweep lacks an axis of o.
func Make(stdout io.Writer, cp *checkpoint.Checkpoint, o Options) error {
	g := newGrid(cp)
	if err := g.show(o.X, o.Y); err != nil {
		return err
	}
	printed := g.print(stdout, o)
	files, written := write(o.Dir, g, formats)
	for _, file := range files {
		fmt.Fprintln(stdout, "Wrote", filepath.Join(o.Dir, file))
	}
	return errors.Join(printed, written)
}
