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
// folder is what those of the shards have in common: results/my for results/my-1of4 and
// its like. A checkpoint that stands there and was not merged is left as it is, and an
// error. One that was merged, and has samples that are in this no longer, is put aside.
func (m *Merged) Save(out string, now time.Time) (path string, err error) {
	if out, err = m.Folder(out); err != nil {
		return "", err
	}
	path = filepath.Join(out, checkpoint.FileName)
	stands, err := checkpoint.Load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("%w: name another folder with -out", err)
	case len(stands.Sweep.Merged) == 0:
		return "", fmt.Errorf("%s holds what a sweep has measured itself: name another folder with -out", path)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", fmt.Errorf("creating the folder of the merged sweep: %w", err)
	}
	lock, err := checkpoint.LockFolder(out)
	if err != nil {
		return "", err
	}
	return path, errors.Join(m.replace(path, stands, now), lock.Unlock())
}

// replace puts the checkpoint in the place of the one that stands at path, which is nil for none.
func (m *Merged) replace(path string, stands *checkpoint.Checkpoint, now time.Time) (err error) {
	if stands != nil && m.lacks(stands) {
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
	return common(m.Checkpoint.Sweep.Merged)
}

// lacks reports whether the other checkpoint has samples of a cell that are not in this.
func (m *Merged) lacks(other *checkpoint.Checkpoint) bool {
	have := m.Checkpoint.ByCell()
	return slices.ContainsFunc(other.Results, func(r checkpoint.Result) bool {
		mine := have[r.Cell()]
		return mine == nil || len(withoutCopies(slices.Concat(mine.Samples, mine.SetAside), r.Samples)) > 0
	})
}

// common returns the folder that shards' own are called after.
func common(sources []checkpoint.Source) (string, error) {
	var stem string
	for i, s := range sources {
		name, ok := strings.CutSuffix(s.From, s.Shard.Suffix())
		if !ok || s.Shard == (cell.Shard{}) || i > 0 && name != stem {
			return "", errors.New("the folders' names have no other in common: name one for the merged sweep with -out")
		}
		stem = name
	}
	return stem, nil
}
