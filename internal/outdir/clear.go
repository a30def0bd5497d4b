package outdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
)

// temporaryEnd ends the names of files that are still being written.
const temporaryEnd = ".tmp"

var (
	temporaryName = regexp.MustCompile(`^\.ollama-sweep-(.+)-[0-9]{1,19}\.tmp$`)
	scratchName   = regexp.MustCompile(`^\.ollama-sweep-[a-z]+-[0-9]{1,19}$`)
)

// errAtWork says that the process that made something still lives.
var errAtWork = errors.New("somebody is at work on it")

// Clear removes what processes that were killed left in the folder: files that were being
// written, and folders of Scratch. What is not surely that stays, and is named with the
// reason, but for what a process that lives is at work on.
func (d *Dir) Clear() (left []string, err error) {
	root, err := d.root()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("looking into the out folder: %w", err)
	}
	for _, e := range entries {
		var err error
		name := e.Name()
		switch match := temporaryName.FindStringSubmatch(name); {
		case match != nil && beginnings[match[1]] != nil:
			err = clearTemporary(root, name)
		case scratchName.MatchString(name):
			err = clearScratch(root, name)
		}
		if err != nil && !errors.Is(err, errAtWork) && !errors.Is(err, fs.ErrNotExist) {
			left = append(left, fmt.Sprintf("%s stays: %v", d.file(name), err))
		}
	}
	return left, nil
}

func clearTemporary(root *os.Root, name string) error {
	f, err := openRegular(root, name, os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := abandoned(f); err != nil {
		return err
	}
	return root.Remove(name)
}

func clearScratch(parent *os.Root, name string) error {
	root, err := openFolder(parent, name)
	if err != nil {
		return err
	}
	defer root.Close()
	owner, err := openRegular(root, ownerFile, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return clearUnmarked(parent, root, name)
	}
	if err != nil {
		return err
	}
	defer owner.Close()
	if err := abandoned(owner); err != nil {
		return err
	}
	return removeFolder(parent, root, name)
}

// clearUnmarked removes a folder that holds nothing: its process was killed before it could
// mark it.
func clearUnmarked(parent, root *os.Root, name string) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return fmt.Errorf("it is not marked as this program's, and holds %s", strings.Join(names, ", "))
	}
	return removeFolder(parent, root, name)
}

// abandoned returns nil where a file is this user's and no process is at work on it.
func abandoned(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
		return errors.New("it is another user's")
	}
	if err := lock(f); errors.Is(err, syscall.EWOULDBLOCK) {
		return errAtWork
	} else if err != nil {
		return fmt.Errorf("whether somebody is at work on it can't be known: %w", err)
	}
	return nil
}
