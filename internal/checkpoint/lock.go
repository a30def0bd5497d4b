package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
)

// LockFile is a file of the out folder that is locked while a sweep runs there.
const LockFile = ".lock"

// Lock excludes other sweeps from an out folder and from its checkpoint's file, which is in
// another folder where the checkpoint is a link. Make one with LockFolder and release it with Unlock.
type Lock struct{ locks []*flock.Flock }

// LockFolder locks an out folder, which must exist, and the file of its checkpoint. It is an
// error when another sweep has locked one of the two.
func LockFolder(dir string) (_ *Lock, err error) {
	l := new(Lock)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Unlock())
		}
	}()
	if err := l.add(filepath.Join(dir, LockFile), dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, FileName)
	target, err := targetOf(path)
	if err != nil {
		return l, nil //nolint:nilerr // OpenStore returns it
	}
	if lock := lockOf(target); filepath.Dir(target) != dir && !l.holds(lock) {
		return l, l.add(lock, fmt.Sprintf("%s, which %s is a link to", target, path))
	}
	return l, nil
}

// lockOf returns the name of a checkpoint's lock, which differs for several files of one folder.
func lockOf(checkpoint string) string {
	dir, base := filepath.Split(checkpoint)
	if base == FileName {
		return dir + LockFile
	}
	return dir + "." + base + LockFile
}

func (l *Lock) add(path, what string) error {
	lock, err := tryLock(path)
	switch {
	case err != nil:
		return fmt.Errorf("locking the out folder: %w", err)
	case lock == nil:
		return fmt.Errorf("another sweep is using %s: wait for it, or use another folder with -out", what)
	}
	l.locks = append(l.locks, lock)
	return nil
}

// tryLock returns nil when another process holds the lock. A link is not followed.
func tryLock(path string) (*flock.Flock, error) {
	for {
		lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW))
		locked, err := lock.TryLock()
		if err != nil || !locked {
			return nil, errors.Join(err, lock.Close())
		}
		if inPlace(lock) {
			return lock, nil
		}
		lock.Close() // the file was removed or renamed after it was opened
	}
}

// inPlace reports whether the locked file is still at its path.
func inPlace(lock *flock.Flock) bool {
	mine, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(lock.Path())
	return err == nil && os.SameFile(mine, there)
}

// holds reports whether the file at path is one of those locked.
func (l *Lock) holds(path string) bool {
	for _, lock := range l.locks {
		mine, err := lock.Stat()
		if err != nil {
			continue
		}
		if there, err := os.Stat(path); err == nil && os.SameFile(mine, there) {
			return true
		}
	}
	return false
}

// errTaken is the error of a folder that another sweep has locked since.
var errTaken = errors.New("another sweep is using the folder now, because the folder or its lock file was removed or renamed")

// check locks what is no longer locked, because the folder or the lock file was removed or
// renamed. It is an error when another sweep has locked it since.
func (l *Lock) check() error {
	if l == nil {
		return nil
	}
	for i, lock := range l.locks {
		if inPlace(lock) {
			continue
		}
		again, err := tryLock(lock.Path())
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return err
		case err != nil:
			return fmt.Errorf("locking it again: %w", err)
		case again == nil:
			return errTaken
		}
		l.locks[i] = again
		lock.Close()
	}
	return nil
}

// Unlock releases the lock. The files stay, since another process may be waiting for one.
func (l *Lock) Unlock() error {
	if l == nil {
		return nil
	}
	var errs []error
	for _, lock := range l.locks {
		errs = append(errs, lock.Close())
	}
	l.locks = nil
	return errors.Join(errs...)
}
