package outdir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// RecordFile is the name of the record, which lists the files made in its folder, one per line.
//
//	# Made here by ollama-sweep, which replaces and removes no other files of this folder:
//	made bench.txt
//	made best.env
//	removed best.env
//
// Lines are only appended, so that a sweep and a concurrent report need no lock.
const RecordFile = mark + "files"

const recordTitle = "# Made here by ollama-sweep, which replaces and removes no other files of this folder:\n"

// record is the contents of a folder's record.
type record struct {
	exists bool
	made   map[string]bool
}

// readRecord reads the folder's record. An incomplete last line, left by a kill or a full disk,
// is ignored.
func readRecord(root *os.Root) (record, error) {
	r := record{made: make(map[string]bool)}
	f, err := openRegular(root, RecordFile, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, r.failed(root, err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return r, r.failed(root, err)
	}
	if strings.HasPrefix(recordTitle, string(text)) && string(text) != recordTitle {
		return r, nil // an incomplete title
	}
	lines, titled := strings.CutPrefix(string(text[:bytes.LastIndexByte(text, '\n')+1]), recordTitle)
	if !titled {
		return r, r.failed(root, errors.New("it is not a record of this program: move it, or name another folder with -out"))
	}
	r.exists = true
	for line := range strings.Lines(lines) {
		what, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		r.made[name] = what == "made"
	}
	return r, nil
}

func (record) failed(root *os.Root, err error) error {
	return fmt.Errorf("reading %q, the list of the files made in the folder: %w", filepath.Join(root.Name(), RecordFile), err)
}

// record reads the folder's record, and creates it if necessary.
func (d *Dir) record(root *os.Root) (record, error) {
	r, err := readRecord(root)
	if err != nil || r.exists {
		return r, err
	}
	slices.Sort(d.earlier)
	text := recordTitle
	for _, name := range d.earlier {
		text += "made " + name + "\n"
	}
	if err := appendRecord(root, text); err != nil {
		return r, err
	}
	d.claimed = true
	return readRecord(root)
}

// list adds the name to the record unless it is listed.
func (r record) list(root *os.Root, name string) error {
	if r.made[name] {
		return nil
	}
	return appendRecord(root, "made "+name+"\n")
}

// appendRecord appends lines to the record, which is on disk when it returns: a file that is not
// listed would be treated as the user's.
func appendRecord(root *os.Root, lines string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %q: %w", filepath.Join(root.Name(), RecordFile), err)
		}
	}()
	f, err := openRegular(root, RecordFile, os.O_RDWR|os.O_APPEND)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = root.OpenFile(RecordFile, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) { // created by another process meanwhile
			f, err = openRegular(root, RecordFile, os.O_RDWR|os.O_APPEND)
		}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if whole := bytes.LastIndexByte(text, '\n') + 1; whole < len(text) {
		if err := f.Truncate(int64(whole)); err != nil {
			return err
		}
	}
	if _, err := f.WriteString(lines); err != nil {
		return err
	}
	return f.Sync()
}
