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

// Weights are the files that a template names in FROM, ADAPTER and DRAFT, including the shards
// in a folder. Nil means no files.
type Weights struct {
	dir      string // the template's folder
	commands []parser.Command
	hashed   *api.CreateRequest // has the files and their digests; nil before the first Hash
	stamps   map[string]stamp   // of the hashed files; nil if they are too new to be trusted
}

// stamp shows whether a file has changed without reading it: each change updates the inode's
// change time, which no program can set.
type stamp struct {
	device, inode, size int64
	modified, changed   time.Time
}

// stampSettleTime is how old a file has to be for its stamp to show all later changes. A second change
// within one tick of the file system's clock does not change the times.
const stampSettleTime = 2 * time.Second

// hashNotice is the size in bytes from which hashing takes so long that it is announced.
const hashNotice = 1 << 30

// namesFile reports whether a command's value is the name of a file.
func namesFile(c parser.Command) bool {
	return filepath.IsAbs(c.Args) && slices.Contains([]string{"model", "adapter", "draft"}, c.Name)
}

// newWeights returns the files that the commands name, nil for none.
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

// Hash returns the current SHA-256 of each file by the file's name relative to the template's
// folder. Files are read again only if one has changed since the last call. log gets a line if
// that takes long. The checksums tell a sweep that weights were replaced under their old name: a model
// that is created from a file has a digest only once it exists.
func (w *Weights) Hash(ctx context.Context, log io.Writer) (map[string]string, error) {
	if w == nil {
		return nil, nil
	}
	stamps, err := w.stat()
	if err != nil {
		return nil, err
	}
	if w.hashed == nil || !maps.Equal(stamps, w.stamps) {
		if err := w.hashAll(ctx, stamps, log); err != nil {
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

// request returns a request that has the files and their digests, nil before the first Hash.
func (w *Weights) request() *api.CreateRequest {
	if w == nil {
		return nil
	}
	return w.hashed
}

// hashAll hashes all files. Before has their stamps, as far as the files are known.
func (w *Weights) hashAll(ctx context.Context, before map[string]stamp, log io.Writer) error {
	var bytes int64
	for _, s := range before {
		bytes += s.size
	}
	if bytes >= hashNotice {
		fmt.Fprintf(log, "hashing %s of weights, to notice if they change\n", humanize.Bytes(uint64(bytes)))
	}
	begun := time.Now()
	hashed, err := w.digests(ctx)
	if err != nil {
		return err
	}
	w.hashed, w.stamps = hashed, nil
	after, err := w.stat()
	if err != nil {
		return err
	}
	for file, s := range after {
		if was, known := before[file]; known && s != was {
			return fmt.Errorf("%s changed while it was read: wait until it is complete, then run the same command again", file)
		}
		if age := begun.Sub(s.changed); age > -stampSettleTime && age < stampSettleTime {
			return nil // without stamps, so the next Hash reads the files again
		}
	}
	w.stamps = after
	return nil
}

// digests returns a request that has the files and their digests. The library that reads them can't
// be interrupted: after the context ends it continues in the background.
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

// stat returns the stamps of the files, and of the folders that contain them.
func (w *Weights) stat() (map[string]stamp, error) {
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
			return nil, fmt.Errorf("weights of the template: there is no file %s any more: restore it and run the same command again", file)
		case err != nil:
			return nil, fmt.Errorf("checking the weights of the template: %s: %w", file, err)
		}
		stamps[file] = stamp{int64(s.Dev), int64(s.Ino), s.Size, time.Unix(s.Mtim.Unix()), time.Unix(s.Ctim.Unix())}
	}
	return stamps, nil
}

// name returns a file's name relative to the template's folder, or absolute if it is elsewhere.
func (w *Weights) name(file string) string {
	if rel, err := filepath.Rel(w.dir, file); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return file
}
