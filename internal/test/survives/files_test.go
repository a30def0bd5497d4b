package survives

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// contents returns all entries of a folder and its subfolders with their mode, links with their
// target, and files with their text.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		text := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			require.NoError(t, err)
			text += " " + to
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			text += " " + string(data)
		}
		all[path] = text
		return nil
	}))
	return all
}

// requireKept requires that all earlier entries of a folder are unchanged.
func requireKept(t *testing.T, dir string, before map[string]string) {
	t.Helper()
	now := contents(t, dir)
	for path, text := range before {
		require.Equal(t, text, now[path], path)
	}
}

// requireNoScratch requires that an out folder has no folder of an engine or a Modelfile and no
// unfinished file.
func requireNoScratch(t *testing.T, out string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(out, ".ollama-sweep-*-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func write(t *testing.T, text string, path ...string) {
	t.Helper()
	file := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}

// TestSurvivesForeignFiles: an out folder with somebody else's file under one of our names is
// refused before the first request to the server and before anything in it is changed.
func TestSurvivesForeignFiles(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	for name, put := range map[string]func(t *testing.T, out string) (named string){
		"frontier.csv": func(t *testing.T, out string) string {
			write(t, "precious", out, report.FrontierFile)
			return "frontier.csv (somebody else's)"
		},
		"best.env": func(t *testing.T, out string) string {
			write(t, "precious", out, report.EnvironmentFile)
			return "best.env (somebody else's)"
		},
		"a folder": func(t *testing.T, out string) string {
			write(t, "precious", out, report.BenchFile, "file")
			return "bench.txt (a folder)"
		},
		"a link": func(t *testing.T, out string) string {
			write(t, "precious", out, "notes.html")
			require.NoError(t, os.Symlink("notes.html", filepath.Join(out, report.PageFile)))
			return "report.html (a link)"
		},
		"a link to nothing": func(t *testing.T, out string) string {
			require.NoError(t, os.Symlink(filepath.Join(out, "nothing"), filepath.Join(out, report.TableFile)))
			return "results_table.csv (a link)"
		},
		"a link for the temporary models": func(t *testing.T, out string) string {
			write(t, "precious", out, "notes")
			require.NoError(t, os.Symlink("notes", filepath.Join(out, outdir.Models)))
			return ".ollama-sweep-models (a link)"
		},
		"a pipe": func(t *testing.T, out string) string {
			require.NoError(t, syscall.Mkfifo(filepath.Join(out, report.BenchFile), 0o644))
			return "bench.txt (not a file: p"
		},
		"a checkpoint of another program": func(t *testing.T, out string) string {
			write(t, `{"benchmarks": [1, 2, 3]}`, out, checkpoint.FileName)
			return "decoding checkpoint"
		},
		"a report without its checkpoint": func(t *testing.T, out string) string {
			write(t, "goos: linux\n", out, report.BenchFile)
			return "bench.txt (somebody else's)"
		},
		"a file that the record does not list": func(t *testing.T, out string) string {
			dir, err := outdir.Open(out, "", nil)
			require.NoError(t, err)
			require.NoError(t, dir.Write(report.PageFile, []byte("ours")))
			write(t, "precious", out, report.OptionsFile)
			return "best_options.json (not listed in .ollama-sweep-files)"
		},
		"a checkpoint of another program next to a record": func(t *testing.T, out string) string {
			dir, err := outdir.Open(out, "", nil)
			require.NoError(t, err)
			require.NoError(t, dir.Write(outdir.Summary, []byte("ours")))
			write(t, "precious", out, checkpoint.FileName)
			return "decoding checkpoint"
		},
		"another record": func(t *testing.T, out string) string {
			write(t, "precious", out, outdir.RecordFile)
			return "it is not a record of this program"
		},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			named := put(t, out)
			before := contents(t, out)
			server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
			printed, code := sweeptest.Start(t, args...).Wait()
			require.Equal(t, 1, code, printed)
			assert.Contains(t, printed, named)
			assert.Contains(t, printed, "name another folder with -out")
			assert.Zero(t, len(server.Requests()), "requests")
			assert.Equal(t, before, contents(t, out))
		})
	}
}

// TestSurvivesFilesOfEarlierReleases resumes a sweep in a folder without a record.
func TestSurvivesFilesOfEarlierReleases(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := t.TempDir()
	_, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	require.NoError(t, os.Remove(filepath.Join(out, outdir.RecordFile)))
	require.NoError(t, os.Remove(filepath.Join(out, report.EnvironmentFile)))
	write(t, "1", out, ".bench.txt2718281828459045")
	write(t, "precious", out, ".bench.txt1")
	printed, code = sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.FileExists(t, filepath.Join(out, report.EnvironmentFile))
	assert.NoFileExists(t, filepath.Join(out, ".bench.txt2718281828459045"))
	assert.FileExists(t, filepath.Join(out, ".bench.txt1"))

	out = t.TempDir() // in which no sweep has run
	write(t, "precious", out, ".bench.txt2718281828459045")
	_, args = sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	printed, code = sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.FileExists(t, filepath.Join(out, ".bench.txt2718281828459045"))
}

// TestSurvivesFoldersOfOthers: folders with names like those of an engine or a Modelfile belong to
// somebody else, and so do those to which links with such names lead.
func TestSurvivesFoldersOfOthers(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ollama")
	text := strings.NewReplacer("COUNT", filepath.Join(filepath.Dir(file), "count"), "LAST", "0").Replace(command)
	script.Write(t, file, text)
	base := t.TempDir()
	out := filepath.Join(base, "scripts")
	write(t, "package main\n", out, "engine", "main.go")
	write(t, "FROM precious\n", base, "elsewhere", "Modelfile")
	write(t, "precious", base, "elsewhere", ".ollama-sweep-owner")
	require.NoError(t, os.Symlink("../elsewhere", filepath.Join(out, "modelfile")))
	require.NoError(t, os.Symlink("../elsewhere", filepath.Join(out, ".ollama-sweep-modelfile-1")))
	before := contents(t, base)

	_, args := sweeptest.Simulated(t, out, "runner: cli\nollama: "+file+sweeptest.SmallGrid)
	p := sweeptest.Start(t, args...)
	p.Await(t, "# 1/6 ")
	p.Signal(t, syscall.SIGKILL)
	left, err := filepath.Glob(filepath.Join(out, ".ollama-sweep-modelfile-*"))
	require.NoError(t, err)
	require.Len(t, left, 2, "the folder of the killed sweep is there")
	delete(before, out) // which has more entries now
	requireKept(t, base, before)

	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "# warning: "+filepath.Join(out, ".ollama-sweep-modelfile-1")+" was not removed: ")
	left, err = filepath.Glob(filepath.Join(out, ".ollama-sweep-modelfile-*"))
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(out, ".ollama-sweep-modelfile-1")}, left)
	requireKept(t, base, before)
}

// TestSurvivesEngineFolder kills a sweep on the embedded engine. The next start removes the folder
// that it left and nothing else, and does not append to a foreign engine.log.
func TestSurvivesEngineFolder(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out := filepath.Join(t.TempDir(), "scripts")
	write(t, "package main\n", out, "engine", "main.go")
	args := []string{"-config", sweeptest.WriteConfig(t, "engine: embedded\n"+sweeptest.RealGrid), "-out", out}
	p := sweeptest.Start(t, args...)
	p.Await(t, "# 1/6 ")
	p.Signal(t, syscall.SIGKILL)
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	requireNoScratch(t, out)
	text, err := os.ReadFile(filepath.Join(out, "engine", "main.go"))
	require.NoError(t, err)
	assert.Equal(t, "package main\n", string(text))

	log := filepath.Join(out, ollamarun.EngineLog)
	require.NoError(t, os.Remove(log))
	write(t, "precious", out, "precious")
	require.NoError(t, os.Symlink("precious", log))
	printed, code = sweeptest.Start(t, args...).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "engine.log (a link)")
	text, err = os.ReadFile(log)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(text))
}

// TestSurvivesFilesInTheWay replaces an output file by a link while a sweep runs: the sweep
// continues, and writes and prints everything else.
func TestSurvivesFilesInTheWay(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	for _, name := range []string{report.PageFile, report.BenchFile, report.HeatmapFile, report.TableFile} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			precious := filepath.Join(t.TempDir(), "precious")
			write(t, "precious", precious)
			server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
			path, reached, placed, second := filepath.Join(out, name), make(chan struct{}), make(chan struct{}), sweeptest.PromptCounter{Cell: sweeptest.SmallPlan[1]}
			server.Inject(func(r ollamatest.Request) http.HandlerFunc {
				if second.Next(r) && second.N == 1 {
					close(reached)
					<-placed
				}
				return nil
			})
			p := sweeptest.Start(t, args...)
			p.Reach(t, reached)
			require.NoError(t, os.Symlink(precious, path+".new"))
			require.NoError(t, os.Rename(path+".new", path))
			close(placed)
			printed, code := p.Wait()
			assert.Equal(t, 1, code)
			assert.Contains(t, printed, fmt.Sprintf("saving %q: it exists and was not made by this program (a link)", path))
			for _, line := range []string{"# 6/6 ", "# Advice: ", "# Best: ", "# This run: 6 cells measured"} {
				assert.Contains(t, printed, line)
			}
			for _, file := range report.Files() {
				if file != name {
					info, err := os.Lstat(filepath.Join(out, file))
					require.NoError(t, err)
					assert.True(t, info.Mode().IsRegular(), file)
				}
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, "precious", string(text))
			sweeptest.RequireReported(t, sweeptest.Load(t, out), sweeptest.BenchLines(printed))
			requireNoScratch(t, out)
		})
	}
}

// TestSurvivesPermissions: files that others can't read stay so when they are replaced.
func TestSurvivesPermissions(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := t.TempDir()
	_, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	for _, name := range report.Files() {
		require.NoError(t, os.Chmod(filepath.Join(out, name), 0o600))
	}
	printed, code = sweeptest.Start(t, append(args, "-redo", "-test.run=^TestSweep$/ctx=512")...).Wait()
	require.Zero(t, code, printed)
	for _, name := range report.Files() {
		info, err := os.Stat(filepath.Join(out, name))
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode(), name)
	}
	hidden, err := filepath.Glob(filepath.Join(out, ".*"))
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(out, checkpoint.LockFile), filepath.Join(out, outdir.RecordFile)}, hidden)
}
