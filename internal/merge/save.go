package merge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// Save writes the checkpoint into the folder out and returns its path. Without out the
// folder is the common stem of the shards' folders: results/my for results/my-1of4 and so
// on. An existing checkpoint there that was not merged is an error and not changed. One
// that was merged, and has samples that this one lacks, is moved aside.
func (m *Merged) Save(out string, now time.Time) (path string, err error) {
	if out, err = m.Folder(out); err != nil {
		return "", err
	}
	path = filepath.Join(out, checkpoint.FileName)
	existing, err := checkpoint.Load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("%w: name another folder with -out", err)
	case len(existing.Sweep.Merged) == 0:
		return "", fmt.Errorf("%s is the checkpoint of a sweep, and not a merged one: name another folder with -out", path)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", fmt.Errorf("creating the folder of the merged sweep: %w", err)
	}
	lock, err := checkpoint.LockFolder(out)
	if err != nil {
		return "", err
	}
	return path, errors.Join(m.replace(path, existing, now), lock.Unlock())
}

// replace replaces the existing checkpoint at path, nil for none.
func (m *Merged) replace(path string, existing *checkpoint.Checkpoint, now time.Time) (err error) {
	if existing != nil && m.lacks(existing) {
		if m.Aside, err = checkpoint.PutAside(path, now); err != nil {
			return err
		}
	}
	return m.Checkpoint.Save(path)
}

// Folder returns the folder that Save writes into.
func (m *Merged) Folder(out string) (string, error) {
	if out != "" {
		return out, nil
	}
	return commonStem(m.Checkpoint.Sweep.Merged)
}

// lacks reports whether the other checkpoint has samples or cells that this one lacks.
func (m *Merged) lacks(other *checkpoint.Checkpoint) bool {
	have := m.Checkpoint.ByCell()
	return slices.ContainsFunc(other.Results, func(r checkpoint.Result) bool {
		mine := have[r.Cell()]
		return mine == nil || len(withoutCopies(slices.Concat(mine.Samples, mine.SetAside), r.Samples)) > 0
	})
}

// commonStem returns the shards' folder without their suffixes.
func commonStem(sources []checkpoint.Source) (string, error) {
	var stem string
	for i, s := range sources {
		name, ok := strings.CutSuffix(s.From, s.Shard.Suffix())
		if !ok || s.Shard == (cell.Shard{}) || i > 0 && name != stem {
			return "", errors.New("the folders' names have no common stem: name the folder for the merged sweep with -out")
		}
		stem = name
	}
	return stem, nil
}
