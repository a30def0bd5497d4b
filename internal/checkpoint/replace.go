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

// targetOf returns the file that the link at path points to, or path itself where it is no link or
// does not exist. A dangling link is an error.
func targetOf(path string) (string, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("checkpoint %q is a link to a missing file (%w): mount its disk, or remove the link to start anew", path, err)
	}
	return target, nil
}

// stamp identifies a file's contents as they were read or written.
type stamp struct {
	info fs.FileInfo // nil for no file
	sum  string      // SHA-256
}

// changed reports whether the contents of the file at path have changed.
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

// replace replaces the file at path, which is no link: a temporary file in the same folder, sync,
// rename, and a sync of the folder, without which a power cut can undo the rename. It ends and
// removes the journal of the old file. The file's mode stays.
func replace(path string, write func(io.Writer) error) (s stamp, err error) {
	f, sum, err := writeTemporary(path, write)
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

// writeTemporary writes a temporary file in the folder of path, and returns it and its SHA-256.
func writeTemporary(path string, write func(io.Writer) error) (f *renameio.PendingFile, sum string, err error) {
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

// randomSuffix matches the random number, of 63 bits, at the end of a temporary file's name. A
// short number is another program's.
var randomSuffix = regexp.MustCompile(`^[1-9][0-9]{9,18}$`)

// removeUnfinished removes the temporary files, such as ".benchmark_results.json2718281828", that
// killed processes left when they were saving the file at path.
func removeUnfinished(path string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil //nolint:nilerr // the save that follows returns it
	}
	for _, e := range entries {
		digits, ours := strings.CutPrefix(e.Name(), "."+base)
		if !ours || !randomSuffix.MatchString(digits) || !e.Type().IsRegular() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("removing a killed sweep's temporary file: %w", err)
		}
	}
	return nil
}
