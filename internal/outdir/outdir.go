// Package outdir writes, replaces and removes files in an out folder, which may be one that
// the user has files of their own in. It touches what this program made there and nothing
// else: a record in the folder lists that (see RecordFile). Links, folders and devices under
// the names of our files are neither followed nor replaced.
//
// The checkpoint is not written here.
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

// The names of the files that are made in an out folder beside the checkpoint.
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
	// Models lists the temporary models that a sweep has on a server.
	Models = mark + "models"
)

// beginnings are how these files began in releases that kept no record.
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

// mark begins the names of all that is made here for the program's own use.
const mark = ".ollama-sweep-"

// Dir is an out folder, which need not be there yet.
type Dir struct {
	path string
	// Without a record: whether the folder is a sweep's all the same, and what of our names
	// is there from an earlier release.
	claimed bool
	earlier []string
}

// Open looks at an out folder and touches nothing in it. Where the folder's record does not
// list the file that is called checkpoint, load decides what that is: its error is nil for a
// sweep's checkpoint, fs.ErrNotExist where there is none, and else what Open returns. A folder
// without a record that holds a checkpoint is that of an earlier release. Where load is nil,
// there is no checkpoint.
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

// ofEarlierReleases returns the names of the files that look like those that releases made
// which kept no record.
func ofEarlierReleases(root *os.Root) (names []string) {
	for name, beginning := range beginnings {
		if begins(root, name, beginning) {
			names = append(names, name)
		}
	}
	return names
}

// begins reports whether a file begins like ours, or is empty.
func begins(root *os.Root, name string, beginning *regexp.Regexp) bool {
	f, err := openRegular(root, name, os.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 1024))
	return err == nil && (len(head) == 0 || beginning.Match(head))
}

// Path is the folder's.
func (d *Dir) Path() string { return d.path }

// Claimed reports whether the folder is known as one that this program writes to.
func (d *Dir) Claimed() bool { return d.claimed }

// Claim makes the folder where it is missing, and its record, and lists the names there.
func (d *Dir) Claim(names ...string) error {
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return fmt.Errorf("making the out folder: %w", err)
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

// Check returns an error that names those of the files that are there and were not made by
// this program.
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
			return fmt.Errorf("looking into the out folder: %w", err)
		}
	}
	if len(foreign) > 0 {
		return fmt.Errorf("out folder %q holds what this program did not make, under names that it uses: %s; move that, or name another folder with -out", d.path, strings.Join(foreign, ", "))
	}
	return nil
}

// Prepare makes the folder ready for these files, and removes what killed processes left in it.
// A folder that is not known as one that this program writes to is refused if it has one of
// them.
func (d *Dir) Prepare(names ...string) error {
	if !d.claimed {
		if err := d.Check(names...); err != nil {
			return err
		}
	}
	if err := d.Claim(); err != nil {
		return err
	}
	_, err := d.Clear() // what stays is named by the next sweep
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

// file is the path of a file of the folder.
func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }
