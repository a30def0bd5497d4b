// Package outdir writes, replaces and removes files in an out folder, which may contain other
// files of the user. It changes only what this program made there, which a record in the folder
// lists (see RecordFile). Links, folders and devices with the names of our files are neither
// followed nor replaced.
//
// It does not write the checkpoint.
package outdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The names of the files in an out folder, besides the checkpoint.
const (
	Bench       = "bench.txt"
	Table       = "results_table.csv"
	Stats       = "results_stats.csv"
	Heatmap     = "heatmap_highlighted.png"
	Page        = "report.html"
	Frontier    = "frontier.csv"
	Modelfile   = "best.Modelfile"
	Options     = "best_options.json"
	Environment = "best.env"
	EngineLog   = "engine.log"
	Summary     = "summary.md"
	Changes     = "changes.png"
	// Models lists the temporary models that a sweep has created on a server.
	Models = mark + "models"
)

// beginnings match the beginnings of these files as earlier releases, without a record, wrote them.
var beginnings = map[string]*regexp.Regexp{
	Bench:       regexp.MustCompile(`^(goos: |Unit |BenchmarkSweep/)`),
	Table:       regexp.MustCompile(`^num_batch[,\n]`),
	Stats:       regexp.MustCompile(`^num_ctx,num_batch,n,`),
	Heatmap:     regexp.MustCompile(`(?s)^.PNG\r\n`),
	Page:        regexp.MustCompile(`^<!DOCTYPE html>\n(.*\n)*<title>Sweep of `),
	Frontier:    regexp.MustCompile(`^num_ctx,num_batch,tokens_per_sec,`),
	Modelfile:   regexp.MustCompile(`^(# |FROM )`),
	Options:     regexp.MustCompile(`^\{"num_ctx":`),
	Environment: regexp.MustCompile(`^(# |OLLAMA_CONTEXT_LENGTH=)`),
	EngineLog:   regexp.MustCompile(``),
	Summary:     regexp.MustCompile(`^## Sweep: `),
	Changes:     regexp.MustCompile(`(?s)^.PNG\r\n`),
	Models:      regexp.MustCompile(`^folder [0-9]+\n`),
}

// mark begins the names of the program's internal files and folders.
const mark = ".ollama-sweep-"

// Dir is an out folder, which need not exist yet.
type Dir struct {
	path string
	// claimed reports whether the folder is a sweep's: it has a record, or a checkpoint of an
	// earlier release without one. Then earlier lists the files of that release.
	claimed bool
	earlier []string
}

// Open opens an out folder and changes nothing in it. Where the folder's record does not list
// the file named checkpoint, load is called to decide what that file is: it returns nil for a
// sweep's checkpoint, fs.ErrNotExist where there is no file, and otherwise an error that Open
// returns. A folder with a checkpoint and without a record is that of an earlier release. With
// a nil load the folder is treated as one without a checkpoint.
func Open(path, checkpoint string, load func() error) (*Dir, error) {
	d := &Dir{path: path}
	root, err := d.root()
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	r, err := readRecord(root)
	if err != nil {
		return nil, err
	}
	d.claimed = r.exists
	if load == nil || r.made[checkpoint] {
		return d, nil
	}
	switch err := load(); {
	case errors.Is(err, fs.ErrNotExist):
		return d, nil
	case err != nil:
		return nil, err
	}
	if !d.claimed {
		d.claimed, d.earlier = true, append(ofEarlierReleases(root), checkpoint)
	}
	return d, nil
}

// ofEarlierReleases returns the names of the files that look like those of releases without a
// record.
func ofEarlierReleases(root *os.Root) (names []string) {
	for name, beginning := range beginnings {
		if begins(root, name, beginning) {
			names = append(names, name)
		}
	}
	return names
}

// begins reports whether a file begins like one of ours, or is empty.
func begins(root *os.Root, name string, beginning *regexp.Regexp) bool {
	f, err := openRegular(root, name, os.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 1024))
	return err == nil && (len(head) == 0 || beginning.Match(head))
}

// Path returns the folder's path.
func (d *Dir) Path() string { return d.path }

// Claimed reports whether the folder is known to be a sweep's.
func (d *Dir) Claimed() bool { return d.claimed }

// Claim creates the folder and its record where they are missing, and adds the names to the
// record.
func (d *Dir) Claim(names ...string) error {
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return fmt.Errorf("creating the out folder: %w", err)
	}
	root, err := d.root()
	if err != nil {
		return err
	}
	defer root.Close()
	r, err := d.record(root)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.list(root, name); err != nil {
			return err
		}
	}
	return nil
}

// Check returns an error that lists those of the files that exist and were not made by this
// program.
func (d *Dir) Check(names ...string) error {
	root, err := d.root()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	var foreign []string
	for _, name := range names {
		if err := d.ours(root, name); errors.As(err, new(*foreignError)) {
			foreign = append(foreign, fmt.Sprintf("%s (%v)", name, err))
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading the out folder: %w", err)
		}
	}
	if len(foreign) > 0 {
		return fmt.Errorf("out folder %q has files that this program would replace but did not make: %s; move them, or name another folder with -out", d.path, strings.Join(foreign, ", "))
	}
	return nil
}

// Prepare creates the folder if necessary, and removes what killed processes left in it. It is
// an error when the folder is not a sweep's and has a file with one of the names.
func (d *Dir) Prepare(names ...string) error {
	if !d.claimed {
		if err := d.Check(names...); err != nil {
			return err
		}
	}
	if err := d.Claim(); err != nil {
		return err
	}
	_, err := d.Clear() // the next sweep reports what was not removed
	return err
}

// root opens the folder.
func (d *Dir) root() (*os.Root, error) {
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, fmt.Errorf("opening the out folder: %w", err)
	}
	return root, nil
}

// file returns the path of a file of the folder.
func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }
