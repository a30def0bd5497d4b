package copies

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// stem begins the names of the checkpoint, of its journal, and, followed by a dash, of older
// checkpoints.
var stem = strings.TrimSuffix(checkpoint.FileName, filepath.Ext(checkpoint.FileName))

// folder is an out folder with its checkpoint.
type folder struct {
	path string
	cp   *checkpoint.Checkpoint // nil after an error
	err  error                  // from reading it
}

func open(path string) *folder {
	cp, err := checkpoint.Load(filepath.Join(path, checkpoint.FileName))
	return &folder{path, cp, err}
}

// absent reports whether there is no checkpoint.
func (c *folder) absent() bool { return errors.Is(c.err, fs.ErrNotExist) && len(c.files()) == 0 }

// files returns the names of the checkpoint and its journal, as far as they exist.
func (c *folder) files() []string {
	entries, _ := os.ReadDir(c.path) // none where there is no folder
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), stem+".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// equal reports whether two copies are byte-identical.
func (c *folder) equal(other *folder) bool {
	names := c.files()
	if strings.Join(names, "/") != strings.Join(other.files(), "/") {
		return false
	}
	for _, name := range names {
		a, errA := os.ReadFile(filepath.Join(c.path, name))
		b, errB := os.ReadFile(filepath.Join(other.path, name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}

// copyCheckpoint copies the checkpoint's files into a folder, which it creates if necessary.
func (c *folder) copyCheckpoint(to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, name := range c.files() {
		if err := copyFile(filepath.Join(c.path, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// better reports whether to resume this copy and not the other, and the reason for the choice.
func (c *folder) better(other *folder) (yes bool, why string) {
	switch {
	case c.err != nil && other.err != nil:
		return false, "neither can be read"
	case other.err != nil:
		return true, "the other can't be read"
	case c.err != nil:
		return false, "the other can't be read"
	}
	if diff := c.cp.Sweep.Differs(other.cp.Sweep); diff != "" {
		return newest(c.cp).After(newest(other.cp)), "the two are different sweeps, and this one is newer"
	}
	a, b := samples(c.cp), samples(other.cp)
	if a != b {
		return a > b, fmt.Sprintf("it has %d samples, and the other %d", max(a, b), min(a, b))
	}
	if a, b := len(c.cp.Results), len(other.cp.Results); a != b {
		return a > b, fmt.Sprintf("it has %d cells, and the other %d", max(a, b), min(a, b))
	}
	return newest(c.cp).After(newest(other.cp)), "both have equally many samples, and it is not older"
}

// results yields all results, with auxiliary measurements.
func results(cp *checkpoint.Checkpoint) func(yield func(*checkpoint.Result) bool) {
	return func(yield func(*checkpoint.Result) bool) {
		for i := range cp.Results {
			if !yield(&cp.Results[i]) {
				return
			}
		}
		for i := range cp.Auxiliary {
			if !yield(&cp.Auxiliary[i].Result) {
				return
			}
		}
	}
}

// samples returns the number of samples, including those set aside and the rates of an older tool,
// which saved no samples.
func samples(cp *checkpoint.Checkpoint) (n int) {
	for r := range results(cp) {
		n += len(r.Samples) + len(r.SetAside)
		if r.PromptEvalRate != nil && len(r.Samples) == 0 {
			n++
		}
	}
	return n
}

// newest returns the time of the last change.
func newest(cp *checkpoint.Checkpoint) (at time.Time) {
	for r := range results(cp) {
		if r.Timestamp.After(at) {
			at = r.Timestamp
		}
	}
	return at
}

// has reports whether the folder has samples or failures that the other lacks.
func (c *folder) has(other *folder) bool {
	if other.err != nil {
		return true
	}
	there := make(map[string]int)
	for _, fact := range facts(other.cp) {
		there[fact]++
	}
	for _, fact := range facts(c.cp) {
		if there[fact]--; there[fact] < 0 {
			return true
		}
	}
	return false
}

// facts returns a text for each sample and each failure. Two measurements never have all durations
// equal to the nanosecond, so that equal texts are copies.
func facts(cp *checkpoint.Checkpoint) []string {
	var all []string
	for r := range results(cp) {
		for _, sample := range slices.Concat(r.Samples, r.SetAside) {
			text, _ := json.Marshal(sample) // can't fail for figures that were read from JSON
			all = append(all, fmt.Sprint(r.Cell(), string(text)))
		}
		switch {
		case r.Failed():
			all = append(all, fmt.Sprint(r.Cell(), *r.Error))
		case len(r.Samples) == 0 && r.PromptEvalRate != nil:
			all = append(all, fmt.Sprint(r.Cell(), *r.PromptEvalRate))
		}
	}
	return all
}
