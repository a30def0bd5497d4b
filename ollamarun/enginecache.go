package ollamarun

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// cachedEngine is an ollama command that was built into the user's cache folder, with its checksum
// next to it: a file that is truncated, or that others could have written, is never run.
type cachedEngine struct {
	cache string // the user's cache folder
	dir   string // the folder of this build, in cache
}

// file is the built command.
func (c cachedEngine) file() string { return filepath.Join(c.dir, "ollama") }

// sums is the file of the checksum, in the format of `sha256sum -c`.
func (c cachedEngine) sums() string { return filepath.Join(c.dir, "ollama.sha256") }

// cacheAdvice ends the error of a cache folder that can't be used.
const cacheAdvice = "set XDG_CACHE_HOME to another cache folder, or name an ollama command that you have with -ollama FILE"

// makeFolder creates the folder of the build. It returns an error if others can write to that or to
// a parent up to the cache folder, or if files in it can't be executed.
func (c cachedEngine) makeFolder() error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("making a folder for the embedded engine: %w", err)
	}
	for _, dir := range []string{c.cache, filepath.Dir(c.dir), c.dir} {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("checking a folder of the embedded engine: %w", err)
		}
		switch why := othersCanWrite(info); {
		case why == "":
		case owner(info) == os.Geteuid():
			return fmt.Errorf("the embedded engine is not run from %s, which %s: they could put another program there: chmod go-w %s, or %s", dir, why, dir, cacheAdvice)
		default:
			return fmt.Errorf("the embedded engine is not run from %s, which %s: they could put another program there: %s", dir, why, cacheAdvice)
		}
	}
	return c.executable()
}

// othersCanWrite returns who other than this user and root can change a file, or the contents of a
// folder; empty if nobody can. In a folder with the sticky bit, such as /tmp, others can't replace
// our files.
func othersCanWrite(info fs.FileInfo) string {
	if uid := owner(info); uid != 0 && uid != os.Geteuid() {
		return fmt.Sprintf("belongs to another user (uid %d)", uid)
	}
	if info.IsDir() && info.Mode()&fs.ModeSticky != 0 {
		return ""
	}
	switch perm := info.Mode().Perm(); {
	case perm&0o002 != 0:
		return fmt.Sprintf("other users can write to (mode %04o)", perm)
	case perm&0o020 != 0:
		return fmt.Sprintf("its group can write to (mode %04o)", perm)
	}
	return ""
}

// owner returns the user ID of a file's owner.
func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// executable returns an error if the system does not execute files in the folder.
func (c cachedEngine) executable() error {
	name := c.file()
	if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o100 == 0 {
		f, err := os.CreateTemp(c.dir, ".executable-")
		if err != nil {
			return fmt.Errorf("writing to the folder of the embedded engine: %w; %s", err, cacheAdvice)
		}
		defer os.Remove(f.Name())
		if err := errors.Join(f.Chmod(0o755), f.Close()); err != nil {
			return fmt.Errorf("writing to the folder of the embedded engine: %w; %s", err, cacheAdvice)
		}
		name = f.Name()
	}
	const mayExecute = 1
	if err := syscall.Access(name, mayExecute); err != nil {
		return fmt.Errorf("the embedded engine can't be executed in %s (%w): the file system may be mounted with noexec; %s", c.dir, err, cacheAdvice)
	}
	return nil
}

// check returns nil if the file is as it was built and nobody else can have changed it.
func (c cachedEngine) check() error {
	info, err := os.Lstat(c.file())
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if info.Mode().Perm()&0o100 == 0 {
		return errors.New("it is not executable")
	}
	if why := othersCanWrite(info); why != "" {
		return errors.New("others could have changed it: it is a file that " + why)
	}
	want, err := os.ReadFile(c.sums())
	if err != nil {
		return errors.New("it has no checksum")
	}
	have, err := checksum(c.file())
	if err != nil {
		return err
	}
	if string(want) != have {
		return errors.New("its checksum differs from that of the build: it was truncated or changed")
	}
	return nil
}

// keep moves a file that was just built to its place and writes its checksum. The file is synced to
// the disk before it gets the name by which it is run.
func (c cachedEngine) keep(built string) error {
	if err := os.Chmod(built, 0o755); err != nil { // whatever the umask
		return err
	}
	sum, err := checksum(built)
	if err != nil {
		return err
	}
	if err := syncFile(built); err != nil {
		return err
	}
	if err := renameio.WriteFile(c.sums(), []byte(sum), 0o644); err != nil {
		return err
	}
	if err := os.Rename(built, c.file()); err != nil {
		return err
	}
	return syncFile(c.dir)
}

// checksum returns the line that c.sums() holds.
func checksum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)) + "  ollama\n", nil
}

// syncFile has a file written to the disk: after a crash of the machine, a command of the right size
// could otherwise have a part that was never written.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
