package checkpoint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func lockFolder(t *testing.T, dir string) *Lock {
	t.Helper()
	l, err := LockFolder(dir)
	require.NoError(t, err)
	t.Cleanup(func() { l.Unlock() })
	return l
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	l := lockFolder(t, dir)
	_, err := LockFolder(dir)
	assert.EqualError(t, err, "another sweep is using "+dir+": wait for it, or use another folder with -out")
	require.NoError(t, l.check())

	require.NoError(t, os.Remove(filepath.Join(dir, LockFile)))
	require.NoError(t, l.check(), "no other sweep has it")
	_, err = LockFolder(dir)
	assert.Error(t, err, "it was locked again")

	require.NoError(t, os.Remove(filepath.Join(dir, LockFile)))
	other := lockFolder(t, dir)
	assert.ErrorIs(t, l.check(), errTaken)
	require.NoError(t, other.Unlock())
	assert.NoError(t, l.check())
	require.NoError(t, l.Unlock())
	lockFolder(t, dir)
}

// TestLockOfALink: the target of a link is locked, whatever its name.
func TestLockOfALink(t *testing.T) {
	root := t.TempDir()
	folder := func(name string) string {
		dir := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		return dir
	}
	file := func(name string) string {
		path := filepath.Join(folder("disk"), name)
		require.NoError(t, os.WriteFile(path, nil, 0o644))
		return path
	}
	link := func(target, name string) string {
		dir := folder(name)
		require.NoError(t, os.Symlink(target, filepath.Join(dir, FileName)))
		return dir
	}
	shared := file("shared.json")
	lockFolder(t, link(shared, "a"))
	_, err := LockFolder(link(shared, "b"))
	assert.ErrorContains(t, err, "another sweep is using "+shared)
	_, err = LockFolder(link(filepath.Join(root, "a", FileName), "c"))
	assert.ErrorContains(t, err, "another sweep is using "+shared, "a link to the link")
	lockFolder(t, link(file("other.json"), "d"))

	direct := folder("e")
	require.NoError(t, os.WriteFile(filepath.Join(direct, FileName), nil, 0o644))
	lockFolder(t, link(filepath.Join(direct, FileName), "f"))
	_, err = LockFolder(direct)
	assert.Error(t, err, "the out folder of the target")

	lockFolder(t, link("nowhere.json", "g")) // which OpenStore refuses
	require.NoError(t, os.Symlink(shared, filepath.Join(folder("h"), LockFile)))
	_, err = LockFolder(folder("h"))
	assert.Error(t, err, "a lock that is a link is not followed")
}

// TestStoreTakenOver: where another sweep has locked the folder, nothing is overwritten, and the
// results are saved next to its checkpoint.
func TestStoreTakenOver(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Header{Model: "m"})
	s.Lock = lockFolder(t, dir)
	require.NoError(t, s.Put(measured(1, 1, 10)))
	require.NoError(t, os.Remove(filepath.Join(dir, LockFile)))
	require.NoError(t, s.Put(measured(2, 1, 10)), "no other sweep has it")

	require.NoError(t, os.Remove(filepath.Join(dir, LockFile)))
	lockFolder(t, dir)
	before, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	err = s.Put(measured(3, 1, 10))
	require.ErrorContains(t, err, "another sweep is using the folder now")
	path, err := s.Restore(noon)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "benchmark_results-20260301-120000.000.json"), path)
	cp, err := Load(path)
	require.NoError(t, err)
	assert.Len(t, cp.Results, 3)
	after, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// TestStoreOfAnEditedFile: a file that another program has edited is not overwritten. A change of
// times alone is no edit.
func TestStoreOfAnEditedFile(t *testing.T) {
	for name, fill := range map[string]func(dir string) *Store{
		"small": func(dir string) *Store {
			s := openStore(t, dir, Header{Model: "m"})
			require.NoError(t, s.Put(measured(1, 1, 10)))
			return s
		},
		"with a journal": func(dir string) *Store {
			s, _ := largeStore(t, dir)
			require.NoError(t, s.Put(measured(6000, 1, 10)))
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := fill(t.TempDir())
			require.NoError(t, os.Chtimes(s.Path(), noon, noon))
			require.NoError(t, s.Put(measured(7000, 1, 10)))
			requireOnDisk(t, s)
			require.NoError(t, os.WriteFile(s.Path(), []byte("mine"), 0o644))
			assert.ErrorIs(t, s.Put(measured(7000, 2, 10)), errChanged)
			text, err := os.ReadFile(s.Path())
			require.NoError(t, err)
			assert.Equal(t, "mine", string(text))
			path, err := s.Restore(noon)
			require.NoError(t, err)
			cp, err := Load(path)
			require.NoError(t, err)
			assert.Equal(t, s.Checkpoint().Results, cp.Results)
		})
	}
}

// TestStoreKeepsModeAndLink: every operation keeps the file's mode, and a link to it.
func TestStoreKeepsModeAndLink(t *testing.T) {
	dir, disk := t.TempDir(), t.TempDir()
	target := filepath.Join(disk, "data.json")
	first := &Checkpoint{Version: Version, Sweep: Header{Model: "m"}, Results: []Result{measured(1, 1, 10)}}
	require.NoError(t, first.Save(target))
	require.NoError(t, os.Chmod(target, 0o600))
	require.NoError(t, os.Symlink(target, filepath.Join(dir, FileName)))
	left := filepath.Join(disk, ".data.json2718281828")
	foreign := filepath.Join(disk, ".data.json27")
	for _, path := range []string{left, foreign} {
		require.NoError(t, os.WriteFile(path, nil, 0o644))
	}
	mode := func(path string) os.FileMode {
		info, err := os.Lstat(path)
		require.NoError(t, err)
		return info.Mode()
	}

	s := openStore(t, dir, Header{Model: "m"})
	assert.NoFileExists(t, left, "a killed sweep's temporary file next to the link's target")
	assert.FileExists(t, foreign)
	require.NoError(t, s.Put(measured(2, 1, 10)))
	assert.Equal(t, os.FileMode(0o600), mode(target))
	require.NoError(t, s.Checkpoint().Save(filepath.Join(dir, FileName)), "as a merge does")
	assert.Equal(t, os.FileMode(0o600), mode(target))
	assert.Equal(t, os.ModeSymlink, mode(filepath.Join(dir, FileName)).Type())

	again := openStore(t, dir, Header{Model: "m"})
	aside, err := again.CopyAside(noon)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), mode(aside))
	assert.Equal(t, disk, filepath.Dir(aside))

	fresh, err := OpenStore(dir, Header{Model: "m"}, true, noon)
	require.NoError(t, err)
	require.NoError(t, fresh.Put(measured(3, 1, 10)))
	assert.Equal(t, os.ModeSymlink, mode(filepath.Join(dir, FileName)).Type(), "also after a fresh start")
	cp, err := Load(target)
	require.NoError(t, err)
	assert.Len(t, cp.Results, 1)

	large, file := largeStore(t, t.TempDir())
	require.NoError(t, large.Put(measured(7000, 1, 10)))
	require.NoError(t, large.Fold())
	require.NoError(t, os.Chmod(file, 0o600))
	reopened := openStore(t, filepath.Dir(file), Header{Model: "m"})
	require.NoError(t, reopened.Put(measured(7000, 2, 10)))
	require.NoError(t, reopened.Put(measured(7000, 3, 10)))
	assert.Equal(t, os.FileMode(0o600), mode(JournalOf(file)))
}
