package outdir

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestScratch: only this user can access the folder, and it is removed with its contents, without
// following links.
func TestScratch(t *testing.T) {
	dir, precious := t.TempDir(), t.TempDir()
	put(t, precious, "file", "precious")
	d := open(t, dir, false)
	s, err := d.Scratch("engine")
	require.NoError(t, err)
	info, err := os.Lstat(s.Path)
	require.NoError(t, err)
	assert.Equal(t, os.ModeDir|0o700, info.Mode())
	require.NoError(t, os.MkdirAll(filepath.Join(s.Path, "models", "blobs"), 0o755))
	put(t, s.Path, "models/blobs/x", "ours")
	require.NoError(t, os.Symlink(precious, filepath.Join(s.Path, "models", "link")))

	left, err := d.Clear()
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.DirExists(t, s.Path, "it is in use")
	require.NoError(t, s.Remove())
	require.NoError(t, s.Remove())
	assert.Empty(t, namesIn(t, dir))
	requireText(t, precious, "file", "precious")
}

// TestScratchReplaced renames the folder and puts a link in its place.
func TestScratchReplaced(t *testing.T) {
	dir, precious := t.TempDir(), t.TempDir()
	put(t, precious, "file", "precious")
	put(t, precious, ownerFile, "")
	s, err := open(t, dir, false).Scratch("engine")
	require.NoError(t, err)
	put(t, s.Path, "file", "ours")
	require.NoError(t, os.Rename(s.Path, filepath.Join(dir, "renamed")))
	require.NoError(t, os.Symlink(precious, s.Path))
	require.NoError(t, s.Remove())
	requireText(t, precious, "file", "precious")
	assert.Empty(t, namesIn(t, filepath.Join(dir, "renamed")), "our files are removed nevertheless")
	assert.Equal(t, []string{filepath.Base(s.Path), "renamed"}, namesIn(t, dir))
}

// abandon creates a folder as a killed process leaves it, and returns its name.
func abandon(t *testing.T, d *Dir) string {
	t.Helper()
	s, err := d.Scratch("engine")
	require.NoError(t, err)
	put(t, s.Path, "file", "ours")
	require.NoError(t, s.Owner.Close())
	return filepath.Base(s.Path)
}

// TestClear: abandoned files and folders are removed, and none that only look like them.
func TestClear(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, false)
	abandon(t, d)
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".ollama-sweep-engine-1"), 0o700)) // killed before it was marked
	put(t, dir, ".ollama-sweep-report.html-123.tmp", "ours")
	left, err := d.Clear()
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.Empty(t, namesIn(t, dir))

	precious := t.TempDir()
	put(t, precious, ownerFile, "")
	put(t, precious, "file", "precious")
	require.NoError(t, os.Symlink(precious, filepath.Join(dir, ".ollama-sweep-engine-2")))
	require.NoError(t, os.Symlink(filepath.Join(precious, "file"), filepath.Join(dir, ".ollama-sweep-bench.txt-1.tmp")))
	unmarked := filepath.Join(dir, ".ollama-sweep-modelfile-3")
	require.NoError(t, os.Mkdir(unmarked, 0o755))
	put(t, unmarked, "file", "precious")
	linked := filepath.Join(dir, ".ollama-sweep-modelfile-4")
	require.NoError(t, os.Mkdir(linked, 0o755))
	put(t, linked, "file", "precious")
	require.NoError(t, os.Symlink("file", filepath.Join(linked, ownerFile)))
	for _, name := range []string{".ollama-sweep-notes.txt-5.tmp", ".ollama-sweep-engine", ".ollama-sweep-engine-x", "engine", "modelfile", ".ollama-sweep-files"} {
		put(t, dir, name, "precious")
	}
	before := namesIn(t, dir)
	left, err = d.Clear()
	require.NoError(t, err)
	require.Len(t, left, 4)
	assert.Equal(t, unmarked+" was not removed: it has no mark of this program, and contains file", left[2])
	assert.Equal(t, before, namesIn(t, dir))
	requireText(t, precious, "file", "precious")
	requireText(t, linked, "file", "precious")
}

// TestClearOtherUsers: another user's folders are not removed.
func TestClearOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can create another user's files")
	}
	dir := t.TempDir()
	d := open(t, dir, false)
	name := abandon(t, d)
	require.NoError(t, os.Chown(filepath.Join(dir, name, ownerFile), 65534, 65534))
	left, err := d.Clear()
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(dir, name) + " was not removed: it belongs to another user"}, left)
}

// TestClearKeepsFoldersInUse: a folder is kept while a child process runs that has inherited its
// owner file.
func TestClearKeepsFoldersInUse(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, false)
	s, err := d.Scratch("engine")
	require.NoError(t, err)
	heir := exec.Command("cat")
	heir.ExtraFiles = []*os.File{s.Owner}
	stdin, err := heir.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, heir.Start())
	require.NoError(t, s.Owner.Close()) // as when this process ends
	left, err := d.Clear()
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.DirExists(t, s.Path)
	require.NoError(t, stdin.Close())
	require.NoError(t, heir.Wait())
	_, err = d.Clear()
	require.NoError(t, err)
	assert.NoDirExists(t, s.Path)
}
