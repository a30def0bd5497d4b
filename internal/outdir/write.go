package outdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
)

// foreignError describes what has the name of a file that this program would make.
type foreignError struct{ what string }

func (e *foreignError) Error() string { return e.what }

// ours returns nil where the file exists and was made by this program, a *foreignError
// where it was not, and fs.ErrNotExist where nothing has that name.
func (d *Dir) ours(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	// Read after Lstat: another process lists a file before it creates it.
	r, err := readRecord(root)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return &foreignError{"a folder"}
	case info.Mode()&fs.ModeSymlink != 0:
		return &foreignError{"a link"}
	case !info.Mode().IsRegular():
		return &foreignError{"not a file: " + info.Mode().Type().String()}
	case r.exists && !r.made[name]:
		return &foreignError{"not listed in " + RecordFile}
	case !r.exists && !slices.Contains(d.earlier, name):
		return &foreignError{"somebody else's"}
	}
	return nil
}

// Write creates a file, or atomically replaces one that this program made and keeps its
// permissions.
func (d *Dir) Write(name string, data []byte) error { return d.write(name, data, 0o644) }

// WritePrivate is Write for a file that other users can't read.
func (d *Dir) WritePrivate(name string, data []byte) error { return d.write(name, data, 0o600) }

func (d *Dir) write(name string, data []byte, perm fs.FileMode) (err error) {
	defer d.wrapSave(name, &err)
	root, err := d.root()
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := d.listed(root, name)
	switch {
	case err != nil:
		return err
	case info == nil:
		return create(root, name, perm, data)
	}
	return replace(root, name, info.Mode().Perm(), data)
}

// wrapSave adds the file's path to an error of a save.
func (d *Dir) wrapSave(name string, err *error) {
	var foreign *foreignError
	switch {
	case *err == nil:
	case errors.As(*err, &foreign):
		*err = fmt.Errorf("saving %q: it exists and was not made by this program (%w): move it, or name another folder with -out", d.file(name), foreign)
	default:
		*err = fmt.Errorf("saving %q: %w", d.file(name), *err)
	}
}

// listed returns the file of that name, which this program must have made, or nil where there is
// none. In both cases it is listed in the record on return.
func (d *Dir) listed(root *os.Root, name string) (fs.FileInfo, error) {
	absent := d.ours(root, name)
	if absent != nil && !errors.Is(absent, fs.ErrNotExist) {
		return nil, absent
	}
	r, err := d.record(root)
	if err != nil {
		return nil, err
	}
	if absent == nil {
		return root.Lstat(name)
	}
	return nil, r.list(root, name)
}

// claim is listed, but creates an empty file where there is none.
func (d *Dir) claim(root *os.Root, name string, perm fs.FileMode) (fs.FileInfo, error) {
	info, err := d.listed(root, name)
	if err != nil || info != nil {
		return info, err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if errors.Is(err, fs.ErrExist) { // created by another process of ours meanwhile
		return regular(root, name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// regular returns a file that was created after the name was found unused.
func regular(root *os.Root, name string) (fs.FileInfo, error) {
	info, err := root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = &foreignError{"created a moment ago"}
	}
	return info, err
}

// create atomically creates a file with the data.
func create(root *os.Root, name string, perm fs.FileMode, data []byte) error {
	f, temporary, err := newTemporary(root, name, perm)
	if err != nil {
		return err
	}
	defer root.Remove(temporary) // fails after a rename
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// Unlike Rename, Link fails where the name exists meanwhile. Not all file systems have links.
	if err := root.Link(temporary, name); err == nil {
		return nil
	}
	if _, err := regular(root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.Rename(temporary, name)
}

// replace atomically replaces the file by a new one with the data, which is on disk before.
func replace(root *os.Root, name string, perm fs.FileMode, data []byte) (err error) {
	f, temporary, err := newTemporary(root, name, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			root.Remove(temporary)
		}
	}()
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(perm), f.Sync()); err != nil {
		return err
	}
	return root.Rename(temporary, name)
}

// newTemporary creates a temporary file that is locked while it is open. Another process may
// remove it as abandoned before it is locked: then another one is created.
func newTemporary(root *os.Root, name string, perm fs.FileMode) (f *os.File, temporary string, err error) {
	for range maxTries {
		temporary = fmt.Sprintf("%s%s-%d%s", mark, name, rand.Int64(), temporaryEnd)
		f, err = root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		if err != nil {
			return nil, "", err
		}
		// Where files can't be locked, Clear removes none.
		if err := lock(f); !errors.Is(err, syscall.EWOULDBLOCK) && isFile(root, temporary, f) {
			return f, temporary, nil
		}
		f.Close()
	}
	return nil, "", errOthers
}

// maxTries limits how often a file or folder is created that other processes remove at once.
const maxTries = 20

var errOthers = errors.New("other processes keep removing what is created in the folder")

// isFile reports whether name is still the file that was opened, and not a link to it.
func isFile(root *os.Root, name string, f *os.File) bool {
	there, err := root.Lstat(name)
	if err != nil {
		return false
	}
	opened, err := f.Stat()
	return err == nil && os.SameFile(there, opened)
}

// Append opens a file for appending, and creates it with these permissions where it is
// missing.
func (d *Dir) Append(name string, perm fs.FileMode) (f *os.File, err error) {
	defer d.wrapSave(name, &err)
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := d.claim(root, name, perm)
	if err != nil {
		return nil, err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		return nil, &foreignError{"a file with several hard links"}
	}
	return openRegular(root, name, os.O_WRONLY|os.O_APPEND)
}

// Read returns the contents of a file that this program made, nil where there is none.
func (d *Dir) Read(name string) (data []byte, err error) {
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	switch err := d.ours(root, name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading %q: it was not made by this program: %w", d.file(name), err)
	}
	f, err := openRegular(root, name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// Remove removes a file that this program made. Anything else of that name is not removed, and
// no error.
func (d *Dir) Remove(name string) error {
	root, err := d.root()
	if err != nil {
		return err
	}
	defer root.Close()
	switch err := d.ours(root, name); {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, new(*foreignError)):
		return nil
	case err != nil:
		return err
	}
	if _, err := d.record(root); err != nil {
		return err
	}
	if err := root.Remove(name); err != nil {
		return fmt.Errorf("removing an outdated file: %w", err)
	}
	return appendRecord(root, "removed "+name+"\n")
}

// openRegular opens an existing file, but not through a link: os.Root follows links within
// the folder, whatever the flags.
func openRegular(root *os.Root, name string, flag int) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, &foreignError{"not a file: " + before.Mode().Type().String()}
	}
	f, err := root.OpenFile(name, flag|syscall.O_NONBLOCK, 0) // opening a pipe that was just created would block
	if err != nil {
		return nil, err
	}
	if opened, err := f.Stat(); err != nil || !os.SameFile(before, opened) {
		f.Close()
		return nil, &foreignError{"replaced a moment ago"}
	}
	return f, nil
}

// lock locks the file for this process and the child processes that inherit it, until the last
// of them has closed it or has ended. It fails where another process has locked it.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
