package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Load reads the checkpoint file at path, in this format or an older tool's, and the journal next
// to it, if any. An error names the file and, if possible, the line or the result.
func Load(path string) (*Checkpoint, error) {
	cp, _, err := load(path)
	return cp, err
}

// readTries is how often checkpoint and journal are read where the two do not belong together: a
// running sweep may have replaced one after the other was read.
const readTries = 5

func load(path string) (cp *Checkpoint, s stamp, err error) {
	for range readTries {
		if cp, s, err = loadOnce(path); !errors.Is(err, errOtherCheckpoint) {
			break
		}
	}
	return cp, s, err
}

func loadOnce(path string) (*Checkpoint, stamp, error) {
	target, err := targetOf(path)
	if err != nil {
		return nil, stamp{}, err
	}
	name := JournalOf(target)
	journal, err := readJournalFile(name)
	if err != nil {
		return nil, stamp{}, err
	}
	data, info, err := readCheckpoint(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && journal != nil:
		return nil, stamp{}, fmt.Errorf("journal %q belongs to a missing checkpoint: restore %q", name, target)
	case err != nil:
		return nil, stamp{}, err
	}
	cp, err := decode(data)
	if err != nil {
		return nil, stamp{}, fmt.Errorf("decoding checkpoint %q: %w", path, err)
	}
	s := stamp{info, sumOf(data)}
	if journal != nil {
		if err := cp.apply(journal, s.sum); err != nil {
			return nil, stamp{}, fmt.Errorf("checkpoint %q and its journal %q, left by a killed sweep: %w", path, name, err)
		}
	}
	if err := cp.check(); err != nil {
		return nil, stamp{}, fmt.Errorf("decoding checkpoint %q: %w", path, err)
	}
	return cp, s, nil
}

func readCheckpoint(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading checkpoint: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("checkpoint %q is not a file (%v)", path, info.Mode().Type())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading checkpoint: %w", err)
	}
	return data, info, nil
}
