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

// errInUse is the error of a file or folder whose process is still running.
var errInUse = errors.New("it is in use")

// Clear removes what killed processes left in the folder: temporary files and folders of
// Scratch. What can't safely be identified as such is not removed but returned in left with
// the reason, except what a running process still uses.
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
		return nil, fmt.Errorf("reading the out folder: %w", err)
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
		if err != nil && !errors.Is(err, errInUse) && !errors.Is(err, fs.ErrNotExist) {
			left = append(left, fmt.Sprintf("%s was not removed: %v", d.file(name), err))
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

// clearUnmarked removes an empty folder: its process was killed before it could mark it.
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
		return fmt.Errorf("it has no mark of this program, and contains %s", strings.Join(names, ", "))
	}
	return removeFolder(parent, root, name)
}

// abandoned returns nil where a file belongs to this user and no process uses it.
func abandoned(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
		return errors.New("it belongs to another user")
	}
	if err := lock(f); errors.Is(err, syscall.EWOULDBLOCK) {
		return errInUse
	} else if err != nil {
		return fmt.Errorf("checking whether it is in use: %w", err)
	}
	return nil
}
