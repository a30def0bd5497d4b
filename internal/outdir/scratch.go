package outdir

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Scratch is a temporary folder in an out folder, for files that are needed only while this
// process runs. Create one with Dir.Scratch and remove it with Remove.
type Scratch struct {
	// Path is absolute.
	Path string
	// Owner is locked until Remove. A child process that inherits it keeps the folder in use
	// after the end of this process.
	Owner *os.File

	parent, root *os.Root
	name         string
}

// ownerFile is a file in each such folder that is locked while the folder is in use.
const ownerFile = mark + "owner"

// Scratch creates a folder named after its purpose, which only this user can access.
func (d *Dir) Scratch(what string) (s *Scratch, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("creating a folder for the %s: %w", what, err)
		}
	}()
	parent, err := d.root()
	if err != nil {
		return nil, err
	}
	for range maxTries {
		s = &Scratch{parent: parent, name: mark + what + "-" + strconv.FormatInt(rand.Int64(), 10)}
		if s.Path, err = filepath.Abs(d.file(s.name)); err == nil {
			err = s.make()
		}
		if err == nil && isFolder(parent, s.name, s.root) && isFile(s.root, ownerFile, s.Owner) {
			return s, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, s.Remove())
		}
		// Another process removed it as abandoned before it was locked.
		s.close()
	}
	return nil, errors.Join(errOthers, parent.Close())
}

// make creates the folder and its locked owner file.
func (s *Scratch) make() (err error) {
	if err := s.parent.Mkdir(s.name, 0o700); err != nil {
		return err
	}
	if s.root, err = openFolder(s.parent, s.name); err != nil {
		return err
	}
	if s.Owner, err = s.root.OpenFile(ownerFile, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return err
	}
	if err := lock(s.Owner); err != nil {
		return fmt.Errorf("locking it: %w", err)
	}
	return nil
}

// Remove removes the folder with its contents. It may be called more than once.
func (s *Scratch) Remove() (err error) {
	if s.root != nil {
		if err = removeFolder(s.parent, s.root, s.name); err != nil {
			err = fmt.Errorf("removing %s: %w", s.Path, err)
		}
	}
	s.close()
	if s.parent != nil {
		s.parent.Close()
		s.parent = nil
	}
	return err
}

// close releases the folder without removing it.
func (s *Scratch) close() {
	if s.root != nil {
		s.root.Close()
	}
	if s.Owner != nil {
		s.Owner.Close()
	}
	s.root, s.Owner = nil, nil
}

// openFolder opens a folder in another, but not through a link.
func openFolder(parent *os.Root, name string) (*os.Root, error) {
	there, err := parent.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !there.IsDir() {
		return nil, &foreignError{"not a folder"}
	}
	root, err := parent.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if opened, err := root.Stat("."); err != nil || !os.SameFile(there, opened) {
		root.Close()
		return nil, fs.ErrNotExist // it was replaced meanwhile
	}
	return root, nil
}

// isFolder reports whether name is still the folder that was opened, and not a link to it.
func isFolder(parent *os.Root, name string, root *os.Root) bool {
	there, err := parent.Lstat(name)
	if err != nil {
		return false
	}
	opened, err := root.Stat(".")
	return err == nil && os.SameFile(there, opened)
}

// removeFolder empties the folder that was opened, even if it was moved, and removes it if it
// still has its name. The owner file is removed last.
func removeFolder(parent, root *os.Root, name string) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.Name() != ownerFile {
			errs = append(errs, root.RemoveAll(e.Name()))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := root.Remove(ownerFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !isFolder(parent, name, root) {
		return nil
	}
	if err := parent.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
