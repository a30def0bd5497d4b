package checkpoint

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// encoded returns a checkpoint file with one result of each kind and an auxiliary
// measurement.
func encoded(t *testing.T) []byte {
	t.Helper()
	cp := wholeCheckpoint()
	cp.Auxiliary = []Auxiliary{{Purpose: Reference, Result: measured(4096, 128, 150)}}
	var buf bytes.Buffer
	require.NoError(t, cp.Encode(&buf))
	return buf.Bytes()
}

// TestDamageCut cuts the file at every byte.
func TestDamageCut(t *testing.T) {
	whole := encoded(t)
	want, err := Decode(whole)
	require.NoError(t, err)
	for n := range whole {
		cp, err := Decode(whole[:n])
		if n == len(whole)-1 { // the last byte ends a line
			require.NoError(t, err)
			assert.Equal(t, want, cp)
			continue
		}
		require.Error(t, err, "cut at byte %d of %d", n, len(whole))
	}
}

// TestDamageFlip flips every bit of the file. Most of these files are refused. The
// others have the same samples, except for what no reader can check: a figure of
// a sample that is not the median, a text, a time, a setting.
func TestDamageFlip(t *testing.T) {
	whole := encoded(t)
	want, err := Decode(whole)
	require.NoError(t, err)
	refused := 0
	for i := range whole {
		for bit := range 8 {
			damaged := bytes.Clone(whole)
			damaged[i] ^= 1 << bit
			cp, err := Decode(damaged)
			if err != nil {
				refused++
				assert.NotContains(t, err.Error(), "\n")
				continue
			}
			require.Len(t, cp.Results, len(want.Results), "byte %d, bit %d: a result is lost", i, bit)
			require.Len(t, cp.Auxiliary, len(want.Auxiliary))
			for j, r := range cp.Results {
				require.Len(t, r.Samples, len(want.Results[j].Samples), "byte %d, bit %d: a sample is lost", i, bit)
				require.Equal(t, want.Results[j].Failed(), r.Failed())
				if !r.Failed() {
					require.InEpsilon(t, *want.Results[j].PromptEvalRate, *r.PromptEvalRate, 1e-9, "byte %d, bit %d", i, bit)
				}
			}
		}
	}
	t.Logf("%d of %d flipped bits are refused", refused, 8*len(whole))
	assert.Greater(t, refused, 8*len(whole)*8/10)
}

// TestDamageIsRefused: a damaged file is refused and not changed, and no other file is created.
func TestDamageIsRefused(t *testing.T) {
	good := string(encoded(t))
	change := func(old, instead string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, instead, 1)
	}
	const stillThere = "; repair or move the file, or start anew with -fresh, which keeps it under another name"
	file := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o644) }
	}
	for _, test := range []struct {
		name string
		make func(path string) error
		want string
	}{
		{"empty", file(""), `decoding checkpoint "PATH": the file is empty` + stillThere},
		{"zeros", file(strings.Repeat("\x00", 4096)), `decoding checkpoint "PATH": line 1: invalid character '\x00' at start of value` + stillThere},
		{"a folder", func(path string) error { return os.Mkdir(path, 0o755) }, `checkpoint "PATH" is not a file (d---------)` + stillThere},
		{"a pipe", func(path string) error { return syscall.Mkfifo(path, 0o644) }, `checkpoint "PATH" is not a file (p---------)` + stillThere},
		{"a dangling link", func(path string) error { return os.Symlink("nowhere.json", path) }, `checkpoint "PATH" is a link to a missing file (lstat DIR/nowhere.json: no such file or directory): mount its disk, or remove the link to start anew`},
		{"a link to itself", func(path string) error { return os.Symlink(filepath.Base(path), path) }, `checkpoint "PATH" is a link to a missing file (EvalSymlinks: too many links): mount its disk, or remove the link to start anew`},
		{"another sweep's", file(change("nemotron_f", "nemotron_g")), `checkpoint "PATH" belongs to another sweep: model is "nemotron_g" there and "nemotron_f" here; use another -out folder, or start anew with -fresh, which keeps the file under another name`},
		{"a future version", file(change(`"version": 1`, `"version": 3`)), `decoding checkpoint "PATH": version 3 is not supported, only versions 1 and 2: use the release that wrote it` + stillThere},
		{"a cell twice", file(change(`"num_ctx":4096,"num_batch":512`, `"num_ctx":4096,"num_batch":128`)), `decoding checkpoint "PATH": result 2 (ctx=4096/batch=128): duplicate cell` + stillThere},
		{"a key that is misspelt", file(change(`"samples"`, `"samplez"`)), `decoding checkpoint "PATH": line 28: unknown key "samplez"` + stillThere},
		{"another rate", file(change(`"prompt_eval_rate":200`, `"prompt_eval_rate":210`)), `decoding checkpoint "PATH": result 1 (ctx=4096/batch=128): prompt_eval_rate is 210, but the median of the samples is 200: one of them was changed` + stillThere},
		{"another count", file(change(`"prompt_eval_count":1000,"prompt_eval_duration_ns":5000000000`, `"prompt_eval_count":1008,"prompt_eval_duration_ns":5000000000`)), `decoding checkpoint "PATH": result 1 (ctx=4096/batch=128): prompt_eval_rate is 200, but the median of the samples is 201.6: one of them was changed` + stillThere},
		{"an unknown class", file(change(`"CUDA OOM"`, `"=cmd()"`)), `decoding checkpoint "PATH": result 2 (ctx=4096/batch=512): error "=cmd()" is not a failure class of a cell` + stillThere},
		{"a negative figure", file(change(`"size":10`, `"size":-1`)), `decoding checkpoint "PATH": result 1 (ctx=4096/batch=128): a negative figure` + stillThere},
		{"a negative size", file(change(`"model_mib":1.88`, `"model_mib":-1.88`)), `decoding checkpoint "PATH": result 1 (ctx=4096/batch=128): impossible memory figures` + stillThere},
		{"another num_ctx", file(change(`"num_ctx":4096,"num_batch":128`, `"num_ctx":6144,"num_batch":128`)), `decoding checkpoint "PATH": result 1 (ctx=6144/batch=128): context_length 4096 is below num_ctx, so the cell can't count as measured` + stillThere},
		{"trailing text", file(good + "x"), `decoding checkpoint "PATH": line 36: invalid character 'x' after top-level value` + stillThere},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, FileName)
			require.NoError(t, test.make(path))
			before, err := os.Lstat(path)
			require.NoError(t, err)
			want := strings.NewReplacer("PATH", path, "DIR", dir).Replace(test.want)
			_, err = OpenStore(dir, wholeCheckpoint().Sweep, false, noon)
			require.EqualError(t, err, want)

			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, 1, "no other file is created")
			after, err := os.Lstat(path)
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after) && before.ModTime().Equal(after.ModTime()) && before.Size() == after.Size(), "the file is unchanged")

			s, err := OpenStore(dir, wholeCheckpoint().Sweep, true, noon)
			require.NoError(t, err)
			assert.Empty(t, s.Checkpoint().Results)
			aside, err := os.Lstat(filepath.Join(dir, "benchmark_results-20260301-120000.000.json"))
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, aside), "-fresh moves it aside unchanged")
		})
	}
}

// TestCellsOffTheGrid: results of cells that are not on the grid are kept, and are not planned.
func TestCellsOffTheGrid(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, FileName), encoded(t), 0o644))
	h := wholeCheckpoint().Sweep
	h.NumCtx, h.NumBatch = []int{16384}, []int{512}
	s := openStore(t, dir, h)
	assert.Len(t, s.Checkpoint().Results, 3)
	assert.Equal(t, []cell.Key{{Ctx: 16384, Batch: 512}}, s.Checkpoint().Plan())
	require.NoError(t, s.Put(measured(16384, 512, 100)))
	cp, err := Load(s.Path())
	require.NoError(t, err)
	assert.Len(t, cp.Results, 4)
}

func TestStoreFollowsALink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	target, link := filepath.Join(elsewhere, "kept.json"), filepath.Join(dir, FileName)
	require.NoError(t, os.WriteFile(target, encoded(t), 0o644))
	require.NoError(t, os.Symlink(target, link))
	s := openStore(t, dir, wholeCheckpoint().Sweep)
	require.NoError(t, s.Put(measured(8192, 512, 100)))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink, "it is still a link")
	cp, err := Load(target)
	require.NoError(t, err)
	assert.Len(t, cp.Results, 4, "and its target has the new result")
}

func TestStoreFreshKeepsEarlierCheckpoints(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		s, err := OpenStore(dir, Header{}, true, noon)
		require.NoError(t, err)
		require.NoError(t, s.Put(measured(1, 1, 10)))
	}
	aside, err := filepath.Glob(filepath.Join(dir, "benchmark_results-*"))
	require.NoError(t, err)
	assert.Len(t, aside, 2)
}

// TestStoreChecksFolderFirst: a folder in which the file can't be saved is an error before anything
// is measured.
func TestStoreChecksFolderFirst(t *testing.T) {
	_, err := OpenStore(filepath.Join(t.TempDir(), "gone"), Header{}, false, time.Now())
	assert.ErrorContains(t, err, "saving checkpoint ")
	assert.ErrorContains(t, err, "its folder is gone: ")
}
