package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/parser"
	"golang.org/x/sys/unix"
)

// Weights are the files that a template names: those of FROM, ADAPTER and DRAFT, with the shards
// of a folder. A nil one has none.
type Weights struct {
	dir      string // of the template
	commands []parser.Command
	hashed   *api.CreateRequest // with the files and their digests; nil before the first Hash
	stamps   map[string]stamp   // of the files that it is of; nil where these can't be trusted
}

// stamp tells whether a file has changed, without reading it: a change moves the time of the
// inode, which no program can set.
type stamp struct {
	device, inode, size int64
	modified, changed   time.Time
}

// freshly is how old a file has to be for its stamp to tell all later changes. A second change
// within one tick of the file system's clock leaves the times as they are.
const freshly = 2 * time.Second

// muchToHash is how many bytes take so long that a line says what is done.
const muchToHash = 1 << 30

// namesFile reports whether a command's value is a file's name.
func namesFile(c parser.Command) bool {
	return filepath.IsAbs(c.Args) && slices.Contains([]string{"model", "adapter", "draft"}, c.Name)
}

// newWeights returns the files that commands name, nil for none.
func newWeights(dir string, commands []parser.Command) *Weights {
	w := &Weights{dir: dir}
	for _, c := range commands {
		if namesFile(c) {
			w.commands = append(w.commands, c)
		}
	}
	if len(w.commands) == 0 {
		return nil
	}
	return w
}

// Hash returns the SHA-256 of each file as it is now, by its name as seen from the template's
// folder. Files that have not changed since the last call are not read again. Log takes lines
// that begin with "# ".
func (w *Weights) Hash(ctx context.Context, log io.Writer) (map[string]string, error) {
	if w == nil {
		return nil, nil
	}
	stamps, err := w.look()
	if err != nil {
		return nil, err
	}
	if w.hashed == nil || !maps.Equal(stamps, w.stamps) {
		if err := w.read(ctx, stamps, log); err != nil {
			return nil, err
		}
	}
	sums := make(map[string]string)
	for _, files := range []map[string]string{w.hashed.Files, w.hashed.Adapters, w.hashed.DraftFiles} {
		for file, digest := range files {
			sums[w.name(file)] = strings.TrimPrefix(digest, "sha256:")
		}
	}
	return sums, nil
}

// request returns one that names the files with their digests, nil before the first Hash.
func (w *Weights) request() *api.CreateRequest {
	if w == nil {
		return nil
	}
	return w.hashed
}

// read hashes all files, of which these stamps are known.
func (w *Weights) read(ctx context.Context, before map[string]stamp, log io.Writer) error {
	var bytes int64
	for _, s := range before {
		bytes += s.size
	}
	if bytes >= muchToHash {
		fmt.Fprintf(log, "# hashing %s of weights, to recognize them\n", humanize.Bytes(uint64(bytes)))
	}
	begun := time.Now()
	hashed, err := w.digests(ctx)
	if err != nil {
		return err
	}
	w.hashed, w.stamps = hashed, nil
	after, err := w.look()
	if err != nil {
		return err
	}
	for file, s := range after {
		if was, known := before[file]; known && s != was {
			return fmt.Errorf("%s changed while it was read: wait until it is written, then run the same command again", file)
		}
		if age := begun.Sub(s.changed); age > -freshly && age < freshly {
			return nil // without stamps
		}
	}
	w.stamps = after
	return nil
}

// digests returns a request that names the files with their digests. The library that reads them
// can't be interrupted: when the context ends they are read on until the process ends.
func (w *Weights) digests(ctx context.Context) (*api.CreateRequest, error) {
	type answer struct {
		req *api.CreateRequest
		err error
	}
	done := make(chan answer, 1)
	go func() {
		req, err := parser.Modelfile{Commands: w.commands}.CreateRequest("")
		done <- answer{req, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return nil, fmt.Errorf("reading the weights of the template: %w", a.err)
		}
		return a.req, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// look returns the stamps of the files, and of the folders in which they are found.
func (w *Weights) look() (map[string]stamp, error) {
	stamps := make(map[string]stamp)
	files := make([]string, 0, len(w.commands))
	for _, c := range w.commands {
		files = append(files, c.Args)
	}
	if w.hashed != nil {
		for _, more := range []map[string]string{w.hashed.Files, w.hashed.Adapters, w.hashed.DraftFiles} {
			files = slices.AppendSeq(files, maps.Keys(more))
		}
	}
	for _, file := range files {
		var s unix.Stat_t
		err := unix.Stat(file, &s)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("weights of the template: there is no file %s any more: bring it back and run the same command again", file)
		case err != nil:
			return nil, fmt.Errorf("looking at weights of the template: %s: %w", file, err)
		}
		stamps[file] = stamp{int64(s.Dev), int64(s.Ino), s.Size, time.Unix(s.Mtim.Unix()), time.Unix(s.Ctim.Unix())}
	}
	return stamps, nil
}

// name returns a file's name as seen from the template's folder, absolute where it is not in that.
func (w *Weights) name(file string) string {
	if rel, err := filepath.Rel(w.dir, file); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return file
}
