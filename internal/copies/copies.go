// Package copies chooses between two copies of a sweep's out folders, such as that from a
// cache and that on the disk of the machine which measured. The copy with more samples is
// resumed. What only the other copy has is kept next to it.
//
// It does not pool the samples of the two: that is internal/merge.
package copies

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/shell"
)

// Resume copies each out folder in from to the folder into, unless the copy there is the one to
// resume. Where both have a copy, it reports the choice on w. from is not changed.
func Resume(from, into string, now time.Time, w io.Writer) error {
	existing, err := folders(into)
	if err != nil {
		return err
	}
	for _, name := range existing {
		if err := restore(filepath.Join(into, strings.TrimSuffix(strings.TrimSuffix(name, newSuffix), oldSuffix))); err != nil {
			return err
		}
	}
	incoming, err := folders(from)
	if err != nil {
		return err
	}
	for _, name := range incoming {
		if err := resume(filepath.Join(from, name), filepath.Join(into, name), now, w); err != nil {
			return fmt.Errorf("resuming %s: %w", name, err)
		}
	}
	return nil
}

// folders returns the names of the folders in dir, none where dir does not exist.
func folders(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// resume is Resume for one out folder.
func resume(from, into string, now time.Time, w io.Writer) error {
	theirs, ours := open(from), open(into)
	switch {
	case theirs.absent():
		return nil
	case ours.absent():
		return replace(from, into, func(string) error { return nil })
	case theirs.equal(ours):
		return addOld(from, into)
	}
	better, why := theirs.better(ours)
	kept := filepath.Join(into, "kept"+now.Format("-20060102-150405.000"))
	if better {
		fmt.Fprintf(w, "resuming %s, not %s: %s\n", from, into, why)
		return replace(from, into, func(to string) error {
			return errors.Join(addOld(into, to), ours.keepFrom(theirs, filepath.Join(to, filepath.Base(kept)), into, kept, w))
		})
	}
	fmt.Fprintf(w, "resuming %s, not %s: %s\n", into, from, why)
	return errors.Join(addOld(from, into), theirs.keepFrom(ours, kept, into, kept, w))
}

// keepFrom copies the checkpoint into the folder to, if the other, which is resumed, lacks some
// of its results. Messages call the two folders resumed and kept.
func (c *folder) keepFrom(other *folder, to, resumed, kept string, w io.Writer) error {
	switch {
	case c.err != nil:
		fmt.Fprintf(w, "the unreadable copy is kept in %s: %v\n", kept, c.err)
	case !c.has(other):
		return nil
	case other.err == nil && c.cp.Sweep.Differs(other.cp.Sweep) != "":
		fmt.Fprintf(w, "the other copy is kept in %s\n", kept)
	default:
		fmt.Fprintf(w, "the other copy has samples that this one lacks, and is kept in %s; to report on both: go run ./scripts/report -in %s -in %s -out FOLDER\n",
			kept, shell.Quoted(resumed), shell.Quoted(kept))
	}
	return c.copyCheckpoint(to)
}

// replace replaces into by a copy of from, to which prepare can add. There is a complete copy at
// all times: restore repairs the state after an interruption.
func replace(from, into string, prepare func(to string) error) error {
	if err := os.MkdirAll(filepath.Dir(into), 0o755); err != nil {
		return err
	}
	fresh, old := into+newSuffix, into+oldSuffix
	if err := errors.Join(os.CopyFS(fresh, os.DirFS(from)), prepare(fresh)); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := os.Rename(into, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, into); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// The suffixes of a folder while it is replaced.
const newSuffix, oldSuffix = ".new", ".old"

// restore repairs the state after an interrupted replace.
func restore(into string) error {
	old := into + oldSuffix
	if _, err := os.Lstat(into); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(old, into); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(os.RemoveAll(into+newSuffix), os.RemoveAll(old))
}

// addOld copies the checkpoints that a sweep or Resume has moved aside, except those that to has.
func addOld(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		old := strings.HasPrefix(name, stem+"-") || e.IsDir() && strings.HasPrefix(name, "kept-")
		if _, err := os.Lstat(filepath.Join(to, name)); !old || !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if e.IsDir() {
			err = os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(from, name)))
		} else {
			err = copyFile(filepath.Join(from, name), filepath.Join(to, name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
