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
	cp, path, err := Load(in)
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

// Load reads the checkpoint that in names, a sweep's out folder or the file itself,
// and returns the file's path with it.
func Load(in string) (*sweep.Checkpoint, string, error) {
	path, err := checkpointPath(in)
	if err != nil {
		return nil, "", err
	}
	cp, err := sweep.Load(path)
	return cp, path, err
}

// checkpointPath returns the checkpoint that in names: the file itself or the
// one in a folder.
func checkpointPath(in string) (string, error) {
	if in == "" {
		return "", errors.New("name the out folder of a sweep, or its checkpoint file")
	}
	info, err := os.Stat(in)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s does not exist: run a sweep first, or name its out folder", in)
	case err != nil:
		return "", fmt.Errorf("looking for the checkpoint: %w", err)
	case !info.IsDir():
		return in, nil
	}
	path := filepath.Join(in, sweep.FileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s holds no %s: it is no out folder of a sweep", in, sweep.FileName)
	}
	return path, nil
}
