package outdir

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// open returns a folder with a checkpoint, or without one.
func open(t *testing.T, path string, checkpoint bool) *Dir {
	t.Helper()
	d, err := Open(path, "checkpoint.json", func() error {
		if !checkpoint {
			return fs.ErrNotExist
		}
		return nil
	})
	require.NoError(t, err)
	return d
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
}

// requireText expects a regular file, not a link, with this text.
func requireText(t *testing.T, dir, name, want string) {
	t.Helper()
	info, err := os.Lstat(filepath.Join(dir, name))
	require.NoError(t, err)
	require.True(t, info.Mode().IsRegular(), "%v", info.Mode())
	text, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	require.Equal(t, want, string(text))
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestForeignFiles: in a folder that is not a sweep's, files with our names are refused and not changed.
func TestForeignFiles(t *testing.T) {
	for name := range beginnings {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, name, "precious")
			d := open(t, dir, false)
			assert.False(t, d.Claimed())
			assert.ErrorContains(t, d.Check(Bench, name), "has files that this program would replace but did not make: "+name+" (somebody else's)")
			assert.Equal(t, []string{name}, namesIn(t, dir), "nothing was changed")

			assert.ErrorContains(t, d.Write(name, []byte("ours")), "not made by this program")
			_, err := d.Append(name, 0o600)
			assert.ErrorContains(t, err, "not made by this program")
			require.NoError(t, d.Remove(name))
			requireText(t, dir, name, "precious")
			assert.Equal(t, []string{name}, namesIn(t, dir))
		})
	}
}

// TestEarlierReleases: earlier releases kept no record. In a folder with their checkpoint, files
// that begin like theirs are treated as theirs.
func TestEarlierReleases(t *testing.T) {
	dir := t.TempDir()
	theirs := map[string]string{
		Bench: "goos: linux\n", Table: "num_batch,512\n", Stats: "num_ctx,num_batch,n,median\n", Heatmap: "\x89PNG\r\n\x1a\n",
		Page: "<!DOCTYPE html>\n<html>\n<title>Sweep of tiny</title>\n", Frontier: "num_ctx,num_batch,tokens_per_sec,low\n", Modelfile: "# num_batch: x\n",
		Options: `{"num_ctx":512}`, Environment: "# x\n", EngineLog: "time=…", Summary: "## Sweep: a → b\n", Changes: "",
	}
	for name, text := range theirs {
		put(t, dir, name, text)
	}
	d := open(t, dir, true)
	for name := range beginnings {
		require.NoError(t, d.Check(name))
	}
	assert.NotContains(t, namesIn(t, dir), RecordFile, "nothing was changed")
	put(t, dir, Summary, "# My notes\n")
	assert.ErrorContains(t, open(t, dir, true).Check(Summary), "summary.md (somebody else's)")
	require.NoError(t, open(t, dir, true).Claim())

	d, err := Open(dir, "checkpoint.json", func() error { return errors.New("it is known to be a checkpoint") })
	require.NoError(t, err)
	assert.ErrorContains(t, d.Check(Summary), "summary.md (not listed in .ollama-sweep-files)")
	require.NoError(t, d.Write(Page, []byte("ours")))
	requireText(t, dir, Page, "ours")

	_, err = Open(t.TempDir(), "checkpoint.json", func() error { return errors.New("no checkpoint of ours") })
	assert.EqualError(t, err, "no checkpoint of ours")
}

// TestRecord: listed files are ours also for the next process and without a checkpoint, other
// files are not changed, and a file that was removed is no longer ours.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, open(t, dir, false).Claim())
	put(t, dir, Frontier, "precious")
	d := open(t, dir, false)
	assert.True(t, d.Claimed())
	require.NoError(t, d.Write(Page, []byte("1")))
	require.NoError(t, open(t, dir, true).Write(Page, []byte("2")))
	requireText(t, dir, Page, "2")
	assert.ErrorContains(t, open(t, dir, true).Check(Page, Frontier), "but did not make: frontier.csv (not listed in .ollama-sweep-files); move them")
	assert.ErrorContains(t, open(t, dir, true).Write(Frontier, nil), "not listed")
	require.NoError(t, d.Remove(Frontier))
	requireText(t, dir, Frontier, "precious")

	require.NoError(t, d.Remove(Page))
	require.NoError(t, d.Remove(Page))
	assert.NoFileExists(t, filepath.Join(dir, Page))
	put(t, dir, Page, "precious")
	assert.ErrorContains(t, d.Write(Page, nil), "not listed")
	requireText(t, dir, RecordFile, recordTitle+"made report.html\nremoved report.html\n")
}

// TestTornRecord has records with an incomplete last line, as after a full disk, and files that are no record.
func TestTornRecord(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, RecordFile, recordTitle+"made bench.txt\nmade rep")
	put(t, dir, Bench, "1")
	require.NoError(t, open(t, dir, false).Write(Bench, []byte("2")))
	require.NoError(t, open(t, dir, false).Write(Page, []byte("3")))
	requireText(t, dir, RecordFile, recordTitle+"made bench.txt\nmade report.html\n")

	put(t, dir, RecordFile, recordTitle[:20])
	assert.ErrorContains(t, open(t, dir, false).Write(Page, nil), "somebody else's")
	require.NoError(t, open(t, dir, false).Claim())
	requireText(t, dir, RecordFile, recordTitle)

	for _, text := range []string{"precious", "precious\n", recordTitle[:20] + "\n", strings.Replace(recordTitle, "\n", " ", 1)} {
		put(t, dir, RecordFile, text)
		_, err := Open(dir, "", nil)
		assert.ErrorContains(t, err, "it is not a record of this program: move it")
		requireText(t, dir, RecordFile, text)
	}
	require.NoError(t, os.Remove(filepath.Join(dir, RecordFile)))
	put(t, dir, "elsewhere", recordTitle)
	require.NoError(t, os.Symlink("elsewhere", filepath.Join(dir, RecordFile)))
	_, err := Open(dir, "", nil)
	assert.ErrorContains(t, err, RecordFile)
	requireText(t, dir, "elsewhere", recordTitle)
}

// TestOddFiles: links, folders and devices with the name of a file of ours are neither followed nor changed.
func TestOddFiles(t *testing.T) {
	for what, make := range map[string]func(path string) error{
		"a link":                     func(path string) error { return os.Symlink("precious", path) },
		"a link to nothing":          func(path string) error { return os.Symlink("nothing", path) },
		"a folder":                   func(path string) error { return os.Mkdir(path, 0o755) },
		"not a file: p":              func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a link out of the folder":   func(path string) error { return os.Symlink("/etc/hosts", path) },
		"a link to a file elsewhere": func(path string) error { return os.Symlink("../outdir-nothing", path) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "precious", "precious")
			d := open(t, dir, false)
			require.NoError(t, d.Claim(Page))
			path := filepath.Join(dir, Page)
			require.NoError(t, make(path))
			before, err := os.Lstat(path)
			require.NoError(t, err)
			what, _, _ := strings.Cut(what, " to ")
			what, _, _ = strings.Cut(what, " out ")
			assert.ErrorContains(t, d.Check(Page), "report.html ("+what)
			assert.ErrorContains(t, d.Write(Page, nil), "not made by this program ("+what)
			_, err = d.Append(Page, 0o600)
			assert.ErrorContains(t, err, "not made by this program ("+what)
			require.NoError(t, d.Remove(Page))
			after, err := os.Lstat(path)
			require.NoError(t, err)
			assert.Equal(t, before, after)
			requireText(t, dir, "precious", "precious")
			assert.NoFileExists(t, filepath.Join(dir, "nothing"))
		})
	}
	t.Run("a file with two hard links", func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, "precious", "precious")
		d := open(t, dir, false)
		require.NoError(t, d.Claim(EngineLog, Page))
		require.NoError(t, os.Link(filepath.Join(dir, "precious"), filepath.Join(dir, EngineLog)))
		require.NoError(t, os.Link(filepath.Join(dir, "precious"), filepath.Join(dir, Page)))
		_, err := d.Append(EngineLog, 0o600)
		assert.ErrorContains(t, err, "a file with several hard links")
		require.NoError(t, d.Write(Page, []byte("ours")))
		require.NoError(t, d.Remove(EngineLog))
		requireText(t, dir, "precious", "precious")
		requireText(t, dir, Page, "ours")
	})
}

// TestPermissions: a file keeps its permissions when it is replaced; a new file has the default ones.
func TestPermissions(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, false)
	require.NoError(t, d.Claim())
	mode := func(name string) fs.FileMode {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		return info.Mode()
	}
	old := syscall.Umask(0o027)
	err := d.Write(Page, nil)
	syscall.Umask(old)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o640), mode(Page))
	for _, perm := range []fs.FileMode{0o600, 0o444, 0o666} {
		require.NoError(t, os.Chmod(filepath.Join(dir, Page), perm))
		require.NoError(t, d.Write(Page, []byte("new")))
		assert.Equal(t, perm, mode(Page))
	}
	f, err := d.Append(EngineLog, 0o600)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	assert.Equal(t, fs.FileMode(0o600), mode(EngineLog))
	assert.Equal(t, []string{RecordFile, EngineLog, Page}, namesIn(t, dir), "no temporary file")
}

// TestConcurrentWriters has several goroutines, as if they were processes, make the same files.
func TestConcurrentWriters(t *testing.T) {
	dir := t.TempDir()
	results := make(chan error)
	const processes = 8
	for range processes {
		go func() {
			d, err := Open(dir, "", nil)
			if err == nil {
				err = errors.Join(d.Prepare(Page, Table), d.Write(Page, []byte("ours")), d.Write(Table, []byte("ours")))
			}
			if err == nil {
				err = makeAndRemove(d)
			}
			results <- err
		}()
	}
	for range processes {
		require.NoError(t, <-results)
	}
	requireText(t, dir, Page, "ours")
	assert.Equal(t, []string{RecordFile, Page, Table}, namesIn(t, dir))
	require.NoError(t, open(t, dir, false).Check(Page, Table))
}

func makeAndRemove(d *Dir) error {
	s, err := d.Scratch("engine")
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(s.Path, "models"), 0o755); err != nil {
		return err
	}
	_, err = d.Clear()
	return errors.Join(err, s.Remove())
}

// TestWriteIsAtomic: a reader never finds a partly written new file.
func TestWriteIsAtomic(t *testing.T) {
	want := bytes.Repeat([]byte("x"), 1<<16)
	for range 200 {
		dir := t.TempDir()
		d, err := Open(dir, "", nil)
		require.NoError(t, err)
		done := make(chan error)
		go func() { done <- d.Write(Page, want) }()
		for written := false; !written; {
			select {
			case err := <-done:
				require.NoError(t, err)
				written = true
			default:
			}
			if got, err := os.ReadFile(filepath.Join(dir, Page)); err == nil {
				require.Len(t, got, len(want))
			}
		}
	}
}
