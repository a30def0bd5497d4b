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
// beside it: a file that was cut, or that others could have written, is never run.
type cachedEngine struct {
	cache string // the user's cache folder, in which
	dir   string // is the folder of this build
}

func (c cachedEngine) file() string { return filepath.Join(c.dir, "ollama") }

// sums is the file of the checksum, in the form that `sha256sum -c` reads.
func (c cachedEngine) sums() string { return filepath.Join(c.dir, "ollama.sha256") }

// otherCache says what to do where the cache folder is of no use.
const otherCache = "name another cache folder in XDG_CACHE_HOME, or an ollama command that you have with -ollama FILE"

// makeFolder makes the folder of the build, and returns an error where others can write to it or to
// one above it, up to the cache folder, or where nothing can be executed in it.
func (c cachedEngine) makeFolder() error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("making a folder for the embedded engine: %w", err)
	}
	for _, dir := range []string{c.cache, filepath.Dir(c.dir), c.dir} {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("looking at a folder of the embedded engine: %w", err)
		}
		switch why := othersCanWrite(info); {
		case why == "":
		case owner(info) == os.Geteuid():
			return fmt.Errorf("the embedded engine is not run out of %s, which %s and so can put another program there: chmod go-w %s, or %s", dir, why, dir, otherCache)
		default:
			return fmt.Errorf("the embedded engine is not run out of %s, which %s and so can put another program there: %s", dir, why, otherCache)
		}
	}
	return c.executable()
}

// othersCanWrite says who can change a file, or what is in a folder, beside this user and root;
// empty where nobody can. In a folder with the sticky bit, such as /tmp, others can't replace what
// is ours.
func othersCanWrite(info fs.FileInfo) string {
	if uid := owner(info); uid != 0 && uid != os.Geteuid() {
		return fmt.Sprintf("belongs to another user (uid %d), who can write to it", uid)
	}
	if info.IsDir() && info.Mode()&fs.ModeSticky != 0 {
		return ""
	}
	switch perm := info.Mode().Perm(); {
	case perm&0o002 != 0:
		return fmt.Sprintf("everybody can write to (mode %04o)", perm)
	case perm&0o020 != 0:
		return fmt.Sprintf("its group can write to (mode %04o)", perm)
	}
	return ""
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// executable returns an error where the system executes no files of the folder.
func (c cachedEngine) executable() error {
	name := c.file()
	if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o100 == 0 {
		f, err := os.CreateTemp(c.dir, ".executable-")
		if err != nil {
			return fmt.Errorf("writing to the folder of the embedded engine: %w; %s", err, otherCache)
		}
		defer os.Remove(f.Name())
		if err := errors.Join(f.Chmod(0o755), f.Close()); err != nil {
			return fmt.Errorf("writing to the folder of the embedded engine: %w; %s", err, otherCache)
		}
		name = f.Name()
	}
	const mayExecute = 1
	if err := syscall.Access(name, mayExecute); err != nil {
		return fmt.Errorf("the embedded engine can't be executed in %s (%w): its disk may be mounted with noexec; %s", c.dir, err, otherCache)
	}
	return nil
}

// check returns nil where the file is there as it was built, and nobody else can have changed it.
func (c cachedEngine) check() error {
	info, err := os.Lstat(c.file())
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no regular file")
	}
	if info.Mode().Perm()&0o100 == 0 {
		return errors.New("it is not executable")
	}
	if why := othersCanWrite(info); why != "" {
		return errors.New("others could have changed it: it " + why)
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
		return errors.New("its checksum is another than when it was built: it was cut or changed")
	}
	return nil
}

// keep gives a file that was just built its place, with its checksum. All of it is on the disk
// before it has the name by which it is run.
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

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
