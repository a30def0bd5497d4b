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

// LockFile is locked while a sweep may write into its folder.
const LockFile = ".lock"

// Lock keeps other sweeps away from an out folder and from the file that its checkpoint is kept
// in, which a link may have elsewhere. Make one with LockFolder and end it with Unlock.
type Lock struct{ locks []*flock.Flock }

// LockFolder locks an out folder, which must exist, and the file of its checkpoint. It is an
// error when another sweep holds one of the two.
func LockFolder(dir string) (_ *Lock, err error) {
	l := new(Lock)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Unlock())
		}
	}()
	if err := l.add(filepath.Join(dir, LockFile), "in "+dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, FileName)
	target, err := targetOf(path)
	if err != nil {
		return l, nil //nolint:nilerr // OpenStore returns it
	}
	if lock := lockOf(target); filepath.Dir(target) != dir && !l.holds(lock) {
		return l, l.add(lock, fmt.Sprintf("on %s, which %s is a link to", target, path))
	}
	return l, nil
}

// lockOf returns the name of a checkpoint's lock, which several files of one folder do not share.
func lockOf(checkpoint string) string {
	dir, base := filepath.Split(checkpoint)
	if base == FileName {
		return dir + LockFile
	}
	return dir + "." + base + LockFile
}

func (l *Lock) add(path, where string) error {
	lock, err := tryLock(path)
	switch {
	case err != nil:
		return fmt.Errorf("locking the out folder: %w", err)
	case lock == nil:
		return fmt.Errorf("another sweep is at work %s: wait for it, or use another folder with -out", where)
	}
	l.locks = append(l.locks, lock)
	return nil
}

// tryLock returns nil when somebody else holds the lock. A link is not followed.
func tryLock(path string) (*flock.Flock, error) {
	for {
		lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW))
		locked, err := lock.TryLock()
		if err != nil || !locked {
			return nil, errors.Join(err, lock.Close())
		}
		if named(lock) {
			return lock, nil
		}
		lock.Close() // of a file that was removed meanwhile
	}
}

// named reports whether the lock is the file that its name stands for.
func named(lock *flock.Flock) bool {
	mine, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(lock.Path())
	return err == nil && os.SameFile(mine, there)
}

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

// errTaken says that another sweep may write where this one does.
var errTaken = errors.New("another sweep is at work there now, since its folder or its lock was removed or renamed")

// check returns an error when the folder is not locked any more: another sweep has made the
// folder or the lock anew. Where nobody has, it is locked again.
func (l *Lock) check() error {
	if l == nil {
		return nil
	}
	for i, lock := range l.locks {
		if named(lock) {
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

// Unlock ends the lock. The files stay, since another process may wait for one.
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
