package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Remake prints table and statistics of the checkpoint at in, a sweep's out
// folder or the file itself, and writes the report files into the folder out,
// or beside the checkpoint when that is empty.
func Remake(stdout io.Writer, in, out string) error {
	path, err := checkpointPath(in)
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
	if err := Print(stdout, cp); err != nil {
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

// checkpointPath returns the checkpoint that in names: the file itself or the
// one in a folder.
func checkpointPath(in string) (string, error) {
	if in == "" {
		return "", errors.New("no -in: name the out folder of a sweep, or its checkpoint file")
	}
	info, err := os.Stat(in)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s does not exist: run a sweep first, or name its out folder with -in", in)
	case err != nil:
		return "", fmt.Errorf("looking for the checkpoint: %w", err)
	case !info.IsDir():
		return in, nil
	}
	path := filepath.Join(in, sweep.FileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s holds no %s: -in names the out folder of a sweep", in, sweep.FileName)
	}
	return path, nil
}
