package checkpoint

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/renameio/v2"
)

// targetOf returns the file that the links at path lead to, or path itself where nothing is. A
// link to nothing is an error.
func targetOf(path string) (string, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("checkpoint %q is a link to a file that is not there (%w): mount its disk, or remove the link to begin anew", path, err)
	}
	return target, nil
}

// stamp tells whether a file is still the one that was read or written.
type stamp struct {
	info fs.FileInfo // nil for no file
	sum  string      // SHA-256
}

// changed reports whether the file at path is another of other content.
func (s *stamp) changed(path string) (bool, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false, err
	case s.info == nil:
		return true, nil
	case os.SameFile(info, s.info) && info.Size() == s.info.Size() && info.ModTime().Equal(s.info.ModTime()):
		return false, nil
	}
	data, err := os.ReadFile(path)
	if err != nil || sumOf(data) != s.sum {
		return err == nil, err
	}
	s.info = info
	return false, nil
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// replace gives the file at path, which is no link, new content: a temporary file in the same
// folder, sync, rename, and a sync of the folder, without which a power cut can undo the rename.
// The journal of the old content is ended. The mode stays.
func replace(path string, write func(io.Writer) error) (s stamp, err error) {
	f, sum, err := writeBeside(path, write)
	if err != nil {
		return s, err
	}
	defer f.Cleanup()
	if err := f.Sync(); err != nil {
		return s, err
	}
	if err := endJournal(path, sum); err != nil {
		return s, err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return s, err
	}
	if err := syncFolder(path); err != nil {
		return s, err
	}
	if err := os.Remove(JournalOf(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	info, err := os.Stat(path)
	return stamp{info, sum}, err
}

// writeBeside returns a temporary file beside path with what is written, and its SHA-256.
func writeBeside(path string, write func(io.Writer) error) (f *renameio.PendingFile, sum string, err error) {
	f, err = renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o644), renameio.WithExistingPermissions())
	if err != nil {
		return nil, "", err
	}
	unfinished := f
	defer func() {
		if err != nil {
			unfinished.Cleanup()
		}
	}()
	hash := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, hash), 1<<20)
	if err := write(w); err != nil {
		return nil, "", err
	}
	if err := w.Flush(); err != nil {
		return nil, "", err
	}
	return f, hex.EncodeToString(hash.Sum(nil)), nil
}

// syncFolder syncs the folder of the file at path.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// random is how the random numbers look, of 63 bits, that names of unfinished saves end in: a short
// one is somebody else's.
var random = regexp.MustCompile(`^[1-9][0-9]{9,18}$`)

// removeUnfinished removes what a killed process left of its saves of the file at path: each is
// written under a name like ".benchmark_results.json2718281828" before it takes its own.
func removeUnfinished(path string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil //nolint:nilerr // the save that follows tells
	}
	for _, e := range entries {
		digits, ours := strings.CutPrefix(e.Name(), "."+base)
		if !ours || !random.MatchString(digits) || !e.Type().IsRegular() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("removing what a killed sweep left: %w", err)
		}
	}
	return nil
}
