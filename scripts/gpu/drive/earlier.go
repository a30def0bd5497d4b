package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// resume puts the checkpoints of an earlier run's archive into the record: sweeps resume them, and what
// compares with them finds them.
func (d *drive) resume(archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("the earlier run: %w", err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("the earlier run %s: %w", archive, err)
	}
	for r := tar.NewReader(zip); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && isCheckpoint(header.Name) {
			err = d.restore(header.Name, r)
		}
		if err != nil {
			return fmt.Errorf("the earlier run %s: %w", archive, err)
		}
	}
}

// isCheckpoint is true of the files that a sweep resumes.
func isCheckpoint(name string) bool {
	dir, base := path.Split(name)
	return slices.Contains([]string{"sweep/", "cli/", "sweep-4096/", "best/"}, dir) && slices.Contains([]string{checkpoint.FileName, checkpoint.JournalOf(checkpoint.FileName)}, base)
}

func (d *drive) restore(name string, r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return keep(d.in(name), text)
}
