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

// resume unpacks the checkpoints in an earlier run's archive into the results folder, in which sweeps
// resume them and the searches and the stage memory read them.
func (d *drive) resume(archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("reading the earlier run: %w", err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("reading the earlier run %s: %w", archive, err)
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
			return fmt.Errorf("reading the earlier run %s: %w", archive, err)
		}
	}
}

// isCheckpoint reports whether a file of an archive is a checkpoint or journal of a sweep.
func isCheckpoint(name string) bool {
	dir, base := path.Split(name)
	return slices.Contains([]string{"sweep/", "cli/", "sweep-4096/", "best/", "frontier/", "settings/", "settings-best/"}, dir) && slices.Contains([]string{checkpoint.FileName, checkpoint.JournalOf(checkpoint.FileName)}, base)
}

func (d *drive) restore(name string, r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return save(d.in(name), text)
}
