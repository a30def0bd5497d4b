package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// largeStore returns a store whose file is large enough for a journal, and the file's name.
func largeStore(t testing.TB, dir string) (s *Store, file string) {
	t.Helper()
	file = filepath.Join(dir, FileName)
	cp := &Checkpoint{Version: Version, Sweep: Header{Model: "m"}}
	for i := range 300 {
		cp.Results = append(cp.Results, measured(1+i/100, 1+i%100, 10))
	}
	require.NoError(t, cp.Save(file))
	s = openStore(t, dir, Header{Model: "m"})
	require.NoError(t, s.Put(measured(5000, 1, 10)), "which rewrites the file")
	require.Greater(t, s.onDisk.info.Size(), int64(smallFile))
	require.Nil(t, s.journal)
	return s, file
}

func requireOnDisk(t testing.TB, s *Store) {
	t.Helper()
	cp, err := Load(s.Path())
	require.NoError(t, err)
	assert.Equal(t, s.Checkpoint(), cp)
}

// TestJournal: a result that is put into a large checkpoint is written as a line of the journal, is
// read together with the file, and is in the file alone in the end.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	s, file := largeStore(t, dir)
	before, err := os.ReadFile(file)
	require.NoError(t, err)

	require.NoError(t, s.Put(measured(7000, 1, 10)))
	require.NoError(t, s.Put(measured(1, 1, 10, 20)))
	require.NoError(t, s.Put(measured(7000, 1, 10, 30)))
	require.NoError(t, s.PutAuxiliary(Auxiliary{Purpose: Reference, Result: measured(1, 1, 5)}, false))
	require.NoError(t, s.PutAuxiliary(Auxiliary{Purpose: Reference, Result: measured(1, 1, 5, 6)}, true))
	require.NoError(t, s.PutAuxiliary(Auxiliary{Purpose: Reference, Result: measured(1, 1, 7)}, false))
	s.SetSizing(Sizing{Fixed: 3, PerWord: 1.5})
	s.Warn("a warning")
	require.NoError(t, s.Save())
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, before, after, "the file is not rewritten")
	requireOnDisk(t, s)

	again := openStore(t, dir, Header{Model: "m"})
	assert.Equal(t, s.Checkpoint().Results, again.Checkpoint().Results, "as after a kill")
	require.NoError(t, again.Put(measured(7000, 2, 10)))
	assert.NoFileExists(t, JournalOf(file), "the first save of the next run folds it in")
	requireOnDisk(t, again)

	require.NoError(t, again.Put(measured(7000, 3, 10)))
	assert.FileExists(t, JournalOf(file))
	require.NoError(t, again.Fold())
	assert.NoFileExists(t, JournalOf(file))
	requireOnDisk(t, again)
}

// TestJournalIsFoldedIn: a journal's size is limited to a part of the checkpoint's.
func TestJournalIsFoldedIn(t *testing.T) {
	s, file := largeStore(t, t.TempDir())
	most, folds := int64(0), 0
	for i := range 300 {
		require.NoError(t, s.Put(measured(7000, 1+i, 10)))
		info, err := os.Stat(JournalOf(file))
		if err != nil {
			folds++
			continue
		}
		most = max(most, info.Size())
	}
	assert.Positive(t, folds)
	assert.Less(t, most, s.onDisk.info.Size()/journalPart+1000)
	requireOnDisk(t, s)
}

// TestJournalCut cuts the journal anywhere, as a kill or a power cut does: complete lines are read.
func TestJournalCut(t *testing.T) {
	s, file := largeStore(t, t.TempDir())
	cells := len(s.Checkpoint().Results)
	for i := range 3 {
		require.NoError(t, s.Put(measured(7000, 1+i, 10)))
	}
	whole, err := os.ReadFile(JournalOf(file))
	require.NoError(t, err)
	for n := range len(whole) + 1 {
		if atEnd := n == 0 || n == len(whole) || whole[n] == '\n' || whole[n-1] == '\n'; n%11 > 0 && !atEnd {
			continue // each cut reads the whole checkpoint
		}
		require.NoError(t, os.WriteFile(JournalOf(file), whole[:n], 0o644))
		cp, err := Load(file)
		require.NoError(t, err, "cut at byte %d", n)
		lines := strings.Count(string(whole[:n]), "\n")
		require.Len(t, cp.Results, cells+max(0, lines-1), "cut at byte %d", n)
	}
	require.NoError(t, os.WriteFile(JournalOf(file), append(whole, make([]byte, 4096)...), 0o644))
	cp, err := Load(file)
	require.NoError(t, err, "trailing zeros, as some file systems leave them")
	assert.Len(t, cp.Results, cells+3)
}

// TestJournalKilledWhileFoldedIn has the state after each step of rewriting the file.
func TestJournalKilledWhileFoldedIn(t *testing.T) {
	s, file := largeStore(t, t.TempDir())
	require.NoError(t, s.Put(measured(7000, 1, 10)))
	require.NoError(t, s.PutAuxiliary(Auxiliary{Purpose: Reference, Result: measured(1, 1, 5)}, false))
	old, err := os.ReadFile(file)
	require.NoError(t, err)
	journal, err := os.ReadFile(JournalOf(file))
	require.NoError(t, err)
	require.NoError(t, s.Fold())
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	ended := fmt.Appendf(journal, "{\"next\":%q}\n", sumOf(written))

	for name, files := range map[string][2][]byte{
		"the journal has ended":        {old, ended},
		"the file is replaced as well": {written, ended},
	} {
		require.NoError(t, os.WriteFile(file, files[0], 0o644))
		require.NoError(t, os.WriteFile(JournalOf(file), files[1], 0o644))
		cp, err := Load(file)
		require.NoError(t, err, name)
		assert.Equal(t, s.Checkpoint(), cp, name)
	}
}

// TestJournalRefuses: a journal that would silently lose samples, or add those of another file, is refused.
func TestJournalRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(file string) error
		want   string
	}{
		"another checkpoint": {func(file string) error {
			other := &Checkpoint{Version: Version, Sweep: Header{Model: "m"}, Results: []Result{measured(1, 1, 10)}}
			return os.WriteFile(file, encodedOf(t, other), 0o644)
		}, "the journal belongs to another version of this file: restore that version, or move the journal away, which drops its samples"},
		"no checkpoint": {os.Remove, "belongs to a missing checkpoint"},
		"a folder": {func(file string) error {
			return errorsOf(os.Remove(JournalOf(file)), os.Mkdir(JournalOf(file), 0o755))
		}, "is not a file"},
		"a link": {func(file string) error {
			return errorsOf(os.Rename(JournalOf(file), file+"-else"), os.Symlink(file+"-else", JournalOf(file)))
		}, "is not a file"},
		"a line in the middle": {changed(`{"result":{"num_ctx":7000,"num_batch":2,`, `{"result":{"num_ctx":7000,"num_botch":2,`), `line 3: unknown key "num_botch"`},
		"a key twice":          {changed(`"num_batch":2,`, `"num_batch":2,"num_batch":3,`), `line 3: duplicate key "num_batch"`},
		"another rate":         {changed(`"prompt_eval_rate":10`, `"prompt_eval_rate":11`), "one of them was changed"},
		"no first line":        {changed(`{"checkpoint":`, `{"next":`), `line 1: the first line, and only the first, must have the key "checkpoint"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, file := largeStore(t, dir)
			for i := range 3 {
				require.NoError(t, s.Put(measured(7000, 1+i, 10)))
			}
			require.NoError(t, test.damage(file))
			_, err := Load(file)
			assert.ErrorContains(t, err, test.want)
			_, err = OpenStore(dir, Header{Model: "m"}, false, noon)
			assert.ErrorContains(t, err, test.want)

			again, err := OpenStore(dir, Header{Model: "m"}, true, noon)
			require.NoError(t, err, "-fresh moves both aside")
			require.NoError(t, again.Put(measured(1, 1, 10)))
			requireOnDisk(t, again)
			asides, err := filepath.Glob(filepath.Join(dir, "benchmark_results-*.journal"))
			require.NoError(t, err)
			assert.Len(t, asides, 1)
		})
	}
}

// changed returns a function that replaces text in the journal.
func changed(old, instead string) func(file string) error {
	return func(file string) error {
		data, err := os.ReadFile(JournalOf(file))
		if err != nil || !strings.Contains(string(data), old) {
			return fmt.Errorf("no %s: %w", old, err)
		}
		return os.WriteFile(JournalOf(file), []byte(strings.Replace(string(data), old, instead, 1)), 0o644)
	}
}

// TestJournalOnAFullDisk: after an append that fails the lines before it are intact, and the next
// save writes everything.
func TestJournalOnAFullDisk(t *testing.T) {
	s, file := largeStore(t, t.TempDir())
	require.NoError(t, s.Put(measured(7000, 1, 10)))
	f := s.journal.file
	readOnly, err := os.Open(JournalOf(file)) // can't be written
	require.NoError(t, err)
	s.journal.file = readOnly
	require.Error(t, s.Put(measured(7000, 2, 10)))
	s.journal.file = f
	cp, err := Load(file)
	require.NoError(t, err)
	assert.Len(t, cp.Results, len(s.Checkpoint().Results)-1)
	require.NoError(t, s.Put(measured(7000, 3, 10)))
	requireOnDisk(t, s)
	require.NoError(t, readOnly.Close())
}

// TestLostJournal: its contents are written again with the next sample, and at the end.
func TestLostJournal(t *testing.T) {
	for name, damage := range map[string]func(journal string) error{
		"removed":  os.Remove,
		"renamed":  func(journal string) error { return os.Rename(journal, journal+"-else") },
		"cut":      func(journal string) error { return os.Truncate(journal, 100) },
		"added to": func(journal string) error { return appendTo(journal, "x\n") },
	} {
		t.Run(name, func(t *testing.T) {
			for _, then := range []func(s *Store) error{
				func(s *Store) error { return s.Put(measured(7000, 2, 10)) },
				(*Store).Fold,
			} {
				s, file := largeStore(t, t.TempDir())
				require.NoError(t, s.Put(measured(7000, 1, 10)))
				require.NoError(t, damage(JournalOf(file)))
				require.NoError(t, then(s))
				requireOnDisk(t, s)
			}
		})
	}
}

// TestStoreSavesAfterAnError: once the cause of a failed save is gone, the next save writes everything.
func TestStoreSavesAfterAnError(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T) *Store{
		"small": func(t *testing.T) *Store {
			s := openStore(t, t.TempDir(), Header{Model: "m"})
			require.NoError(t, s.Put(measured(1, 1, 10)))
			return s
		},
		"with a journal": func(t *testing.T) *Store {
			s, _ := largeStore(t, t.TempDir())
			require.NoError(t, s.Put(measured(7000, 1, 10)))
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			path := s.path
			s.path = filepath.Join(t.TempDir(), "gone", FileName)
			require.Error(t, s.Put(measured(7000, 2, 10)))
			s.path = path
			require.NoError(t, s.Put(measured(7000, 3, 10)))
			requireOnDisk(t, s)
		})
	}
}

// TestForeignJournal: a foreign file or link in place of the journal is neither followed nor removed, and the results are
// saved next to it.
func TestForeignJournal(t *testing.T) {
	for name, test := range map[string]struct {
		put  func(journal string) error
		want string
	}{
		"a link": {func(journal string) error { return os.Symlink(journal+"-else", journal) }, "is not a file"},
		"a file": {func(journal string) error { return os.WriteFile(journal, []byte("x\n"), 0o644) }, "is not the journal of a checkpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			s, file := largeStore(t, t.TempDir())
			require.NoError(t, s.Put(measured(7000, 1, 10)))
			require.NoError(t, os.Rename(JournalOf(file), JournalOf(file)+"-else"))
			require.NoError(t, test.put(JournalOf(file)))
			before, err := os.Lstat(JournalOf(file))
			require.NoError(t, err)
			require.ErrorContains(t, s.Put(measured(7000, 2, 10)), test.want)
			path, err := s.Restore(noon)
			require.NoError(t, err)
			assert.NotEqual(t, file, path)
			cp, err := Load(path)
			require.NoError(t, err)
			assert.Equal(t, s.Checkpoint(), cp)
			after, err := os.Lstat(JournalOf(file))
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after))
		})
	}
}

func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errorsOf(err, f.Close())
}

func FuzzJournal(f *testing.F) {
	base := encodedOf(f, &Checkpoint{Version: Version, Results: []Result{measured(1, 1, 10)}})
	sum := sumOf(base)
	f.Add("{\"checkpoint\":\"" + sum + "\"}\n{\"result\":{\"num_ctx\":1,\"num_batch\":2,\"prompt_eval_rate\":null,\"error\":\"CUDA OOM\"}}\n")
	f.Add("{\"checkpoint\":\"" + sum + "\"}\n{\"at\":0,\"remeasured\":{\"purpose\":\"reference\",\"num_ctx\":1,\"num_batch\":1}}\n{\"sweep\":{}}\n{\"next\":\"x\"}\n")
	f.Add("{\"next\":\"" + sum + "\"}\n")
	f.Fuzz(func(t *testing.T, text string) {
		cp, err := Decode(base)
		require.NoError(t, err)
		if cp.apply([]byte(text), sum) != nil || cp.check() != nil {
			return
		}
		again, err := Decode(encodedOf(t, cp))
		require.NoError(t, err, "a checkpoint that was read can be written")
		assert.Len(t, again.Results, len(cp.Results))
	})
}
