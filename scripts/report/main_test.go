package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

// command runs the command in process.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

const halfDone = `{
  "version": 1,
  "sweep": {"model": "tiny", "num_ctx": [512, 1024], "num_batch": [128, 256]},
  "results": [
    {"num_ctx": 512, "num_batch": 128, "prompt_eval_rate": 1234.5, "error": null}
  ]
}
`

const older = `{"metadata": {"model": "nemotron_f"}, "results": [
  {"num_ctx": 8192, "num_batch": 32, "prompt_eval_rate": 78.8},
  {"num_ctx": 8192, "num_batch": 160, "prompt_eval_rate": null, "error": "CUDA OOM"}]}`

func TestReport(t *testing.T) {
	for _, tt := range []struct {
		name, checkpoint string
		has              []string
	}{
		{"in the middle of a sweep", halfDone, []string{"1234.5*", "Cells: 4 planned, 1 measured, 0 failed, 3 missing"}},
		{"a file of an older version", older, []string{"OOM    CUDA OOM", "Cells: 2 planned, 1 measured, 1 failed, 0 missing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, checkpoint.FileName)
			require.NoError(t, os.WriteFile(path, []byte(tt.checkpoint), 0o644))
			code, stdout, stderr := command("-in", dir)
			require.Zero(t, code, stderr)
			assert.Empty(t, stderr)
			for _, text := range tt.has {
				assert.Contains(t, stdout, text)
			}
			for _, name := range report.Files() {
				file := filepath.Join(dir, name)
				if strings.HasPrefix(name, "best") {
					assert.NoFileExists(t, file, "one cell is not enough for a recommendation")
					continue
				}
				assert.FileExists(t, file)
				assert.Contains(t, stdout, "Wrote "+file+"\n")
			}
			kept, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, tt.checkpoint, string(kept))
		})
	}
}

func TestReportToAnotherFolder(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "new")
	path := filepath.Join(dir, "kept.json")
	require.NoError(t, os.WriteFile(path, []byte(halfDone), 0o644))
	code, _, stderr := command("-in", path, "-out", out)
	require.Zero(t, code, stderr)
	for _, file := range []string{report.TableFile, report.PageFile, report.FrontierFile} {
		assert.FileExists(t, filepath.Join(out, file))
	}
	assert.NoFileExists(t, filepath.Join(dir, report.TableFile))
}

// TestReportOfOtherAxes checks -x and -y, and that a wrong name writes nothing.
func TestReportOfOtherAxes(t *testing.T) {
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	data, err := json.Marshal(checkpoints.Settings())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(in, checkpoint.FileName), data, 0o644))
	code, stdout, stderr := command("-in", in, "-out", out, "-x", "num_gpu", "-y", "flash")
	assert.Equal(t, 1, code)
	assert.Empty(t, stdout)
	assert.Equal(t, "report: the sweep has no axis \"flash\": choose one of num_ctx, num_batch, num_gpu, flash_attention\n", stderr)
	assert.NoDirExists(t, out)
	code, stdout, stderr = command("-in", in, "-out", out, "-x", "num_gpu", "-y", "flash_attention")
	assert.Zero(t, code, stderr)
	assert.Contains(t, stdout, "With num_ctx=2048, num_batch=256:\n                 num_gpu\nflash_attention   auto      20\n")
	table, err := os.ReadFile(filepath.Join(out, report.TableFile))
	require.NoError(t, err)
	assert.Contains(t, string(table), "num_ctx,num_batch,flash_attention,auto,20\n2048,256,on,1600.00,1280.00\n")
	page, err := os.ReadFile(filepath.Join(out, report.PageFile))
	require.NoError(t, err)
	assert.Contains(t, string(page), "Heatmap over num_gpu and flash_attention;")
}

func TestReportMerges(t *testing.T) {
	dir := t.TempDir()
	for i, results := range []string{`{"num_ctx": 512, "num_batch": 128, "prompt_eval_rate": 1000}`, `{"num_ctx": 512, "num_batch": 256, "prompt_eval_rate": 1250}`} {
		name := fmt.Sprintf("my-%dof2", i+1)
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		text := fmt.Sprintf(`{"version": 1, "sweep": {"model": "m", "num_ctx": [512], "num_batch": [128, 256], "shard": "%d/2"}, "results": [%s]}`, i+1, results)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, checkpoint.FileName), []byte(text), 0o644))
	}
	for _, in := range [][]string{{"-in", dir + "/my-*of2"}, {"-in", dir + "/my-1of2", "-in", dir + "/my-2of2"}} {
		code, stdout, stderr := command(in...)
		require.Zero(t, code, stderr)
		assert.Contains(t, stdout, "1250.0*")
		assert.Contains(t, stdout, "Cells: 2 planned, 2 measured, 0 failed, 0 missing\n")
		assert.Contains(t, stdout, "Merged 2 checkpoints:\n  "+dir+"/my-1of2: shard 1/2, 1 cells\n")
		for _, file := range append(report.Files(), checkpoint.FileName) {
			assert.Contains(t, stdout, "Wrote "+filepath.Join(dir, "my", file)+"\n")
		}
	}
	code, _, stderr := command("-in", dir+"/my-*of2", "-out", dir+"/my-1of2")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "is the checkpoint of a sweep, and not a merged one: name another folder with -out")
	code, _, stderr = command("-in", dir+"/my-*of2", "-watch")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "report: -watch needs a single checkpoint")
}

func TestReportErrors(t *testing.T) {
	dir := t.TempDir()
	damaged := filepath.Join(dir, "damaged.json")
	require.NoError(t, os.WriteFile(damaged, []byte("{\n\"version\": 1,\n"), 0o644))
	whole := filepath.Join(dir, "whole.json")
	require.NoError(t, os.WriteFile(whole, []byte(halfDone), 0o644))
	empty := filepath.Join(dir, "empty.json")
	require.NoError(t, os.WriteFile(empty, []byte(`{"version": 1, "sweep": {"model": "x"}, "results": []}`), 0o644))
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"an unknown flag", []string{"-nope"}, 2, "flag provided but not defined: -nope"},
		{"an argument", []string{"results/demo"}, 2, `report: unexpected argument "results/demo": name the folder with -in`},
		{"no -in", []string{"-in", ""}, 1, "report: name the out folder "},
		{"no sweep was run", nil, 1, "report: results/demo does not exist: run a sweep first"},
		{"a folder without a checkpoint", []string{"-in", dir}, 1, "has no benchmark_results.json"},
		{"a file for a folder", []string{"-in", filepath.Join(whole, "x")}, 1, "looking for the checkpoint: "},
		{"a damaged file", []string{"-in", damaged}, 1, `decoding checkpoint "` + damaged + `": line 3: `},
		{"a sweep without cells", []string{"-in", empty}, 1, "the sweep has no cells"},
		{"an out folder that can't be made", []string{"-in", whole, "-out", filepath.Join(whole, "x")}, 1, "opening the out folder: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, _, stderr := command(tt.args...)
			assert.Equal(t, tt.code, code)
			assert.Contains(t, stderr, tt.want)
		})
	}
	code, stdout, stderr := command("-h")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "Usage of report")
	assert.Empty(t, stderr)
}

// foreign returns a folder with a file of another program.
func foreign(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("precious"), 0o600))
	return dir
}

// requireUntouched requires that the folder holds only that file, unchanged.
func requireUntouched(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	text, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
}

// TestReportForeignFiles: a folder with another program's file under the name of a report is
// refused, by a merge before it saves its checkpoint there.
func TestReportForeignFiles(t *testing.T) {
	in := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(in, checkpoint.FileName), []byte(halfDone), 0o644))
	for _, name := range report.Files() {
		for _, args := range [][]string{{"-in", in}, {"-in", in, "-in", in}} {
			out := foreign(t, name)
			code, stdout, stderr := command(append(args, "-out", out)...)
			assert.Equal(t, 1, code)
			assert.Contains(t, stderr, name+" (somebody else's); move them, or name another folder with -out")
			assert.NotContains(t, stdout, "Wrote")
			requireUntouched(t, out, name)
		}
	}
	out := foreign(t, checkpoint.FileName)
	code, _, stderr := command("-in", in, "-out", out)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "decoding checkpoint")
	requireUntouched(t, out, checkpoint.FileName)
}

// TestReportWritesOtherFiles: where the page can't be written, all other files are, and files keep
// their permissions.
func TestReportWritesOtherFiles(t *testing.T) {
	in := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(in, checkpoint.FileName), []byte(halfDone), 0o644))
	code, before, stderr := command("-in", in)
	require.Zero(t, code, stderr)
	page, table := filepath.Join(in, report.PageFile), filepath.Join(in, report.TableFile)
	require.NoError(t, os.Remove(page))
	require.NoError(t, os.Mkdir(page, 0o755))
	require.NoError(t, os.WriteFile(table, []byte("old"), 0o644))
	require.NoError(t, os.Chmod(table, 0o600))
	code, stdout, stderr := command("-in", in)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, fmt.Sprintf("saving %q: ", page))
	assert.Contains(t, stdout, "Best: ")
	assert.Equal(t, strings.Replace(before, "Wrote "+page+"\n", "", 1), stdout, "everything else is printed and written")
	text, err := os.ReadFile(table)
	require.NoError(t, err)
	assert.NotEqual(t, "old", string(text))
	info, err := os.Stat(table)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

// closedPipe is a pipe whose reader has closed it.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestReportToClosedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	require.NoError(t, os.WriteFile(path, []byte(halfDone), 0o644))
	var errs strings.Builder
	assert.Equal(t, 1, run([]string{"-in", path}, closedPipe{}, &errs))
	assert.Contains(t, errs.String(), "printing table: ")
}

// TestReportWatch: -watch runs until it is interrupted.
func TestReportWatch(t *testing.T) {
	dir := t.TempDir()
	done := make(chan int)
	go func() {
		code, _, _ := command("-in", dir, "-watch")
		done <- code
	}()
	require.NoError(t, os.WriteFile(filepath.Join(dir, checkpoint.FileName), []byte(halfDone), 0o644))
	page := filepath.Join(dir, report.PageFile)
	require.Eventually(t, func() bool { _, err := os.Stat(page); return err == nil }, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
	assert.Zero(t, <-done)
	code, _, stderr := command("-watch", "-in", "")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "name the out folder")
}
