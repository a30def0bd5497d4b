package copies

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const keptName = "kept-20260301-120000.000"

// cell returns a result with samples of so many tokens per second.
func cell(ctx int, rates ...int) checkpoint.Result {
	r := checkpoint.Result{NumCtx: ctx, NumBatch: 8, Timestamp: noon.Add(time.Duration(ctx) * time.Second)}
	for _, rate := range rates {
		r.Samples = append(r.Samples, measurement.Sample{PromptEvalCount: 100, PromptEvalDuration: 100 * time.Second / time.Duration(rate)})
	}
	r.SetRate()
	return r
}

// failure returns a failed cell with a long message.
func failure(ctx int) checkpoint.Result {
	class := measurement.OutOfGPUMemory
	return checkpoint.Result{NumCtx: ctx, NumBatch: 8, Error: &class, Detail: strings.Repeat("out of memory ", 1000), Timestamp: noon}
}

// write creates an out folder.
func write(t *testing.T, dir, version string, results ...checkpoint.Result) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	cp := &checkpoint.Checkpoint{Version: checkpoint.Version, Sweep: checkpoint.Header{Model: "m", OllamaVersion: version}, Results: results}
	require.NoError(t, cp.Save(filepath.Join(dir, checkpoint.FileName)))
}

// pair is the folders of a test: from which and into which Resume copies.
type pair struct{ from, into string }

func newPair(t *testing.T) pair {
	dir := t.TempDir()
	return pair{filepath.Join(dir, "it's from"), filepath.Join(dir, "into")}
}

func (f pair) theirs(names ...string) string {
	return filepath.Join(append([]string{f.from, "ci"}, names...)...)
}

func (f pair) ours(names ...string) string {
	return filepath.Join(append([]string{f.into, "ci"}, names...)...)
}

// resume returns the output of Resume, and checks that from is unchanged and that no temporary
// folder is left.
func (f pair) resume(t *testing.T) string {
	t.Helper()
	before := tree(t, f.from)
	var b strings.Builder
	require.NoError(t, Resume(f.from, f.into, noon, &b))
	assert.Equal(t, before, tree(t, f.from))
	entries, err := os.ReadDir(f.into)
	require.NoError(t, err)
	for _, e := range entries {
		assert.NotContains(t, e.Name(), ".")
	}
	return b.String()
}

// tree returns a folder's files and their contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(dir, path)
		files[rel] = string(text)
		return errors.Join(err, relErr)
	}))
	return files
}

// TestResumeTakesTheCopyWithMoreSamples: the number of samples decides, not the size of the file.
func TestResumeTakesTheCopyWithMoreSamples(t *testing.T) {
	rates, failures := []checkpoint.Result{cell(1, 10, 11, 12), cell(2, 10, 11, 12)}, []checkpoint.Result{failure(3), failure(4), failure(5)}
	for name, theirs := range map[string]bool{"incoming": true, "existing": false} {
		t.Run(name, func(t *testing.T) {
			f := newPair(t)
			more, less := f.ours(), f.theirs()
			if theirs {
				more, less = less, more
			}
			write(t, more, "1", rates...)
			write(t, less, "1", failures...)
			best, other := tree(t, more)[checkpoint.FileName], tree(t, less)[checkpoint.FileName]
			require.Greater(t, len(other), len(best))

			printed := f.resume(t)
			assert.Contains(t, printed, "resuming "+more+", not "+less+": it has 6 samples, and the other 0\n")
			assert.Equal(t, best, tree(t, f.into)["ci/"+checkpoint.FileName])
			assert.Equal(t, other, tree(t, f.ours(keptName))[checkpoint.FileName], "the failures are kept")
			assert.Contains(t, printed, "kept in "+f.ours(keptName))
			assert.Contains(t, printed, "go run ./scripts/report -in "+shell.Quoted(f.ours())+" -in "+shell.Quoted(f.ours(keptName)))
		})
	}
}

func TestResumeKeepsNoSubset(t *testing.T) {
	f := newPair(t)
	write(t, f.ours(), "1", cell(1, 10, 11), cell(2, 10))
	write(t, f.theirs(), "1", cell(1, 10, 11), cell(2, 10, 11))
	assert.Equal(t, "resuming "+f.theirs()+", not "+f.ours()+": it has 4 samples, and the other 3\n", f.resume(t))
	assert.Equal(t, tree(t, f.theirs()), tree(t, f.ours()))
	assert.Empty(t, f.resume(t), "they are the same now")
	assert.Equal(t, tree(t, f.theirs()), tree(t, f.ours()))
}

func TestResumeOfASingleCopy(t *testing.T) {
	f := newPair(t)
	require.NoError(t, Resume(f.from, f.into, noon, os.Stderr))
	assert.NoDirExists(t, f.into)

	write(t, f.theirs(), "1", cell(1, 10))
	require.NoError(t, os.WriteFile(filepath.Join(f.from, "stray"), nil, 0o644))
	require.NoError(t, os.MkdirAll(f.ours(), 0o755))
	assert.Empty(t, f.resume(t))
	assert.Equal(t, tree(t, f.theirs()), tree(t, f.ours()))

	require.NoError(t, os.RemoveAll(f.theirs()))
	require.NoError(t, os.MkdirAll(f.theirs(), 0o755))
	before := tree(t, f.ours())
	assert.Empty(t, f.resume(t))
	assert.Equal(t, before, tree(t, f.ours()))
}

// TestResumeOfTies: the newer copy is resumed, or the existing one where both are equally old.
func TestResumeOfTies(t *testing.T) {
	f := newPair(t)
	write(t, f.ours(), "1", cell(1, 10))
	write(t, f.theirs(), "1", cell(2, 10))
	want := tree(t, f.theirs())[checkpoint.FileName]
	printed := f.resume(t)
	assert.Contains(t, printed, "resuming "+f.theirs()+", not "+f.ours()+": both have equally many samples, and it is not older\n")
	assert.Equal(t, want, tree(t, f.ours())[checkpoint.FileName])
	assert.Contains(t, tree(t, f.ours()), filepath.Join(keptName, checkpoint.FileName))

	f = newPair(t)
	write(t, f.ours(), "1", cell(1, 10))
	write(t, f.theirs(), "1", cell(1, 12))
	want = tree(t, f.ours())[checkpoint.FileName]
	f.resume(t)
	assert.Equal(t, want, tree(t, f.ours())[checkpoint.FileName])
	assert.Contains(t, tree(t, f.ours()), filepath.Join(keptName, checkpoint.FileName))
}

// TestResumeOfWhatCannotBeRead: an unreadable copy is not resumed, and is kept byte for byte, with its journal.
func TestResumeOfWhatCannotBeRead(t *testing.T) {
	for name, damage := range map[string]string{"cut": `{"version": 1, "sw`, "empty": "", "another version": `{"version": 99}`} {
		t.Run(name, func(t *testing.T) {
			for _, theirs := range []bool{true, false} {
				f := newPair(t)
				broken, whole := f.ours(), f.theirs()
				if theirs {
					broken, whole = whole, broken
				}
				write(t, whole, "1", cell(1, 10))
				want := tree(t, whole)[checkpoint.FileName]
				require.NoError(t, os.MkdirAll(broken, 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(broken, checkpoint.FileName), []byte(damage), 0o644))
				require.NoError(t, os.WriteFile(filepath.Join(broken, stem+".journal"), []byte("newest"), 0o644))
				printed := f.resume(t)
				assert.Contains(t, printed, "resuming "+whole+", not "+broken+": the other can't be read\n")
				assert.Equal(t, want, tree(t, f.ours())[checkpoint.FileName])
				assert.NotContains(t, tree(t, f.ours()), stem+".journal", "of the other copy")
				assert.Equal(t, map[string]string{checkpoint.FileName: damage, stem + ".journal": "newest"}, tree(t, f.ours(keptName)))
			}
		})
	}
	f := newPair(t)
	for _, dir := range []string{f.ours(), f.theirs()} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, checkpoint.FileName), []byte(dir), 0o644))
	}
	assert.Contains(t, f.resume(t), "neither can be read")
	assert.Equal(t, f.ours(), tree(t, f.ours())[checkpoint.FileName])
	assert.Equal(t, f.theirs(), tree(t, f.ours(keptName))[checkpoint.FileName])
}

// TestResumeOfAnotherSweep: of different sweeps the newer is resumed, whatever their samples.
func TestResumeOfAnotherSweep(t *testing.T) {
	f := newPair(t)
	write(t, f.ours(), "1", cell(1, 10, 11, 12))
	write(t, f.theirs(), "2", cell(2, 10))
	old := tree(t, f.ours())[checkpoint.FileName]
	assert.Contains(t, f.resume(t), "the two are different sweeps, and this one is newer\n")
	assert.Equal(t, tree(t, f.theirs())[checkpoint.FileName], tree(t, f.ours())[checkpoint.FileName])
	assert.Equal(t, old, tree(t, f.ours(keptName))[checkpoint.FileName])
}

// TestResumeKeepsOldCheckpointsOfBoth: checkpoints that were moved aside in either folder are kept.
func TestResumeKeepsOldCheckpointsOfBoth(t *testing.T) {
	f := newPair(t)
	write(t, f.ours(), "1", cell(1, 10))
	write(t, f.theirs(), "1", cell(1, 10, 11))
	require.NoError(t, os.WriteFile(f.ours(stem+"-a.json"), []byte("ours"), 0o644))
	require.NoError(t, os.WriteFile(f.theirs(stem+"-b.json"), []byte("theirs"), 0o644))
	require.NoError(t, os.MkdirAll(f.ours("kept-1"), 0o755))
	require.NoError(t, os.WriteFile(f.ours("kept-1", checkpoint.FileName), []byte("kept"), 0o644))
	require.NoError(t, os.WriteFile(f.ours("report.html"), nil, 0o644))
	f.resume(t)
	all := tree(t, f.ours())
	assert.Equal(t, "ours", all[stem+"-a.json"])
	assert.Equal(t, "theirs", all[stem+"-b.json"])
	assert.Equal(t, "kept", all[filepath.Join("kept-1", checkpoint.FileName)])
	assert.NotContains(t, all, "report.html")
}

// TestResumeAfterAnInterruption has the state after each step of an interrupted replacement.
func TestResumeAfterAnInterruption(t *testing.T) {
	for name, interrupt := range map[string]func(t *testing.T, f pair){
		"while it copies": func(t *testing.T, f pair) {
			require.NoError(t, os.MkdirAll(f.ours()+newSuffix, 0o755))
		},
		"between the renames": func(t *testing.T, f pair) {
			require.NoError(t, os.Rename(f.ours(), f.ours()+oldSuffix))
			require.NoError(t, os.MkdirAll(f.ours()+newSuffix, 0o755))
		},
		"before the old copy is removed": func(t *testing.T, f pair) {
			require.NoError(t, os.MkdirAll(f.ours()+oldSuffix, 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newPair(t)
			write(t, f.ours(), "1", cell(1, 10, 11))
			write(t, f.theirs(), "1", cell(1, 10))
			want := tree(t, f.ours())
			interrupt(t, f)
			for range 2 {
				f.resume(t)
				assert.Equal(t, want, tree(t, f.ours()))
				require.NoError(t, os.RemoveAll(f.theirs()))
				interrupt(t, f)
			}
		})
	}
}
