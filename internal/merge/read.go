package merge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// source is a checkpoint file to read.
type source struct {
	path   string
	byName bool // named itself, not matched by a pattern
}

// IsPattern reports whether a name is a pattern for several folders or files.
func IsPattern(in string) bool {
	if _, err := os.Lstat(in); err == nil {
		return false // an existing name may contain brackets
	}
	return strings.ContainsAny(in, `*?[`)
}

// Merge reads the checkpoints of the out folders or files that the names and patterns
// match, and merges them. Matches of a pattern that hold no checkpoint, or a merged one,
// are skipped. Checkpoints with different identities are an error that names the field.
func Merge(in []string) (*Merged, error) {
	sources, skipped, err := find(in)
	if err != nil {
		return nil, err
	}
	m := newMerger()
	var refused []error
	for l := range loadAll(sources) {
		from := filepath.Dir(l.path)
		switch {
		case l.err != nil:
			refused = append(refused, l.err)
		case len(l.cp.Sweep.Merged) > 0 && !l.byName:
			skipped = append(skipped, from+": it is a merged checkpoint")
		default:
			if err := m.add(from, l.cp); err != nil {
				refused = append(refused, err)
			}
		}
	}
	if len(refused) > 0 {
		return nil, joined(refused)
	}
	if len(m.parts) == 0 {
		return nil, fmt.Errorf("no checkpoint in %s", strings.Join(in, ", "))
	}
	merged := m.merged()
	merged.PassedOver = skipped
	return merged, nil
}

// find returns the files, without duplicates.
func find(in []string) (sources []source, skipped []string, err error) {
	seen := make(map[string]bool)
	add := func(path string, byName bool) error {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			real, err = filepath.Abs(real)
		}
		if err == nil && !seen[real] {
			seen[real] = true
			sources = append(sources, source{path, byName})
		}
		return err
	}
	for _, name := range in {
		if !IsPattern(name) {
			path, err := checkpoint.Find(name)
			if err == nil {
				err = add(path, true)
			}
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		matches, err := filepath.Glob(name)
		if err != nil {
			return nil, nil, fmt.Errorf("-in %s: %w", name, err)
		}
		if len(matches) == 0 {
			return nil, nil, fmt.Errorf("no file or folder matches %s", name)
		}
		for _, match := range matches {
			path, err := checkpoint.Find(match)
			if err == nil && filepath.Ext(path) == ".json" {
				err = add(path, false)
			}
			if err != nil {
				skipped = append(skipped, err.Error())
			}
		}
	}
	slices.SortStableFunc(sources, func(a, b source) int { return strings.Compare(a.path, b.path) })
	return sources, skipped, nil
}

// loaded is a file that was read, or the error.
type loaded struct {
	source
	cp  *checkpoint.Checkpoint
	err error
}

// loadAll reads several files at a time and yields them in order.
func loadAll(sources []source) func(yield func(loaded) bool) {
	return func(yield func(loaded) bool) {
		ahead := make(chan chan loaded, runtime.GOMAXPROCS(0)-1)
		done := make(chan struct{})
		defer close(done)
		go func() {
			defer close(ahead)
			for _, s := range sources {
				c := make(chan loaded, 1)
				select {
				case ahead <- c:
				case <-done:
					return
				}
				go func() {
					cp, err := checkpoint.Load(s.path)
					c <- loaded{s, cp, err}
				}()
			}
		}()
		for c := range ahead {
			if !yield(<-c) {
				return
			}
		}
	}
}

// maxErrors is how many errors are reported.
const maxErrors = 10

func joined(errs []error) error {
	if n := len(errs) - maxErrors; n > 0 {
		errs = append(slices.Clip(errs[:maxErrors]), fmt.Errorf("and %d more", n))
	}
	return errors.Join(errs...)
}
