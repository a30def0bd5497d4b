package survives

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// changes returns the times at which the entries of a folder and its subfolders were changed.
func changes(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	all := make(map[string]time.Time)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		all[path] = info.ModTime()
		return nil
	}))
	return all
}

// startAs starts a sweep of a user with this home folder, and further variables of the environment.
func startAs(t *testing.T, home string, args []string, env ...string) *sweeptest.Process {
	t.Helper()
	return sweeptest.StartProgram(t, sweeptest.Binary(), func(cmd *exec.Cmd) {
		cmd.Dir = sweeptest.Root
		cmd.Env = append(append(os.Environ(), "HOME="+home, "OLLAMA_MODELS="), env...)
	}, args...)
}

// ownConfig writes the config of a sweep of the user's model on a server of the sweep's own.
func ownConfig(t *testing.T, text string) string {
	t.Helper()
	return sweeptest.WriteConfig(t, "engine: own\nmodel: tiny\nollama: "+sweeptest.Ollama(t)+"\n"+text)
}

// TestSurvivesOwnEngine: a server that the sweep starts with the user's models changes nothing in the
// user's home, however the sweep ends, and ends with it. Ollama from 0.21 on sets the time of the files
// from which a model is created.
func TestSurvivesOwnEngine(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	home := sweeptest.UserHome(t)
	template := filepath.Join(t.TempDir(), "Modelfile")
	require.NoError(t, os.WriteFile(template, []byte("FROM tiny\nPARAMETER num_thread 1\nSYSTEM Be brief.\n"), 0o644))
	for name, test := range map[string]struct {
		flags   []string
		creates bool
	}{
		"api":      {nil, false},
		"cli":      {[]string{"-runner", "cli"}, true},
		"template": {[]string{"-modelfile", template}, true},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			args := append([]string{"-config", ownConfig(t, sweeptest.RealGrid), "-out", out}, test.flags...)
			files, times := contents(t, home), changes(t, home)
			requireUnchanged := func() {
				t.Helper()
				sweeptest.RequireEngineGone(t, out)
				require.Equal(t, files, contents(t, home))
				if !test.creates || sweeptest.Before(t, "0.21.0") {
					require.Equal(t, times, changes(t, home))
				}
			}

			p := startAs(t, home, args)
			p.Await(t, "# 1/6 ")
			p.Signal(t, syscall.SIGKILL)
			requireUnchanged()
			p = startAs(t, home, args)
			p.Await(t, "# 3/6 ")
			assert.Less(t, p.Signal(t, syscall.SIGINT), sweeptest.EndsWithin)
			requireUnchanged()
			requireNoScratch(t, out)
			printed, code := startAs(t, home, args).Wait()
			require.Zero(t, code, printed)
			requireUnchanged()
			requireNoScratch(t, out)
			assert.Contains(t, printed, "(-ollama), models of "+filepath.Join(home, ".ollama", "models")+"\n")
			for _, r := range sweeptest.Load(t, out).Results {
				assert.Len(t, r.Samples, 3)
			}
			if test.creates {
				assert.Contains(t, printed, "# the sweep creates its model in the out folder, and not in "+filepath.Join(home, ".ollama", "models")+"; ")
			}
		})
	}
}

// TestSurvivesEndOfOwnEngine: a server of the sweep's own that ends stops the sweep without a failed
// cell, and the same command resumes it.
func TestSurvivesEndOfOwnEngine(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	home, out := sweeptest.UserHome(t), t.TempDir()
	// The server is a child of the command that the sweep starts, and writes its process number.
	pid := filepath.Join(t.TempDir(), "pid")
	command := filepath.Join(t.TempDir(), "ollama")
	script.Write(t, command, "[ \"$1\" = serve ] && echo $$ >"+pid+"\nexec "+sweeptest.Ollama(t)+" \"$@\"\n")
	args := []string{"-config", ownConfig(t, sweeptest.RealGrid), "-out", out}
	p := startAs(t, home, append(args, "-ollama", command))
	p.Await(t, "# 2/6 ")
	kill, err := exec.Command("sh", "-c", "kill -KILL $(cat "+pid+")").CombinedOutput()
	require.NoError(t, err, string(kill))
	printed, code := p.Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "# warning: the server has ended by itself; its log is "+filepath.Join(out, ollamarun.EngineLog))
	assert.Contains(t, printed, "# starting the server\n")
	sweeptest.RequireEngineGone(t, out)
	requireNoScratch(t, out)
	results := sweeptest.Load(t, out).Results
	require.Len(t, results, len(sweeptest.SmallPlan))
	for _, r := range results {
		assert.False(t, r.Failed(), r.Detail)
	}
}

// TestSurvivesAUsersServer: the user's own server has a model in memory while a server of the sweep's own
// measures. It is named with what to do, and refused with -exclusive.
func TestSurvivesAUsersServer(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	home, users := sweeptest.UserHome(t), ollamatest.New(t)
	users.Answers["/api/ps"] = ollamatest.Reply(`{"models":[{"name":"llama3.1:8b","model":"llama3.1:8b","size":6654289920,"size_vram":6654289920}]}`)
	args := func() []string {
		return []string{"-config", ownConfig(t, sweeptest.RealGrid+"budget: 1cells\n"), "-out", t.TempDir()}
	}
	host := "OLLAMA_HOST=" + users.URL.Host
	warning := "other models: your Ollama server at " + users.URL.String() + " has llama3.1:8b in memory"
	printed, code := startAs(t, home, args(), host).Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "# warning: "+warning)
	assert.Contains(t, printed, "unload: OLLAMA_HOST="+users.URL.String()+" ollama stop llama3.1:8b; or stop the server (a system service: sudo systemctl stop ollama)")
	printed, code = startAs(t, home, append(args(), "-exclusive"), host).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, warning)
	assert.Contains(t, printed, "or leave -exclusive out")
	assert.NotContains(t, printed, "BenchmarkSweep/")

	users.Stop()
	users.Answers["/api/ps"] = ollamatest.Reply(`{"models":[]}`)
	require.NoError(t, users.Start())
	printed, code = startAs(t, home, append(args(), "-exclusive"), host).Wait()
	require.Zero(t, code, printed)
	assert.NotContains(t, printed, warning)
}

// TestSurvivesUnusableModels: a models folder or a command that can't be used ends the sweep before
// anything is started.
func TestSurvivesUnusableModels(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	home, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	config := sweeptest.WriteConfig(t, "engine: own\nmodel: tiny\n"+sweeptest.SmallGrid)
	models := filepath.Join(home, "models")
	for _, part := range []string{"manifests", "blobs"} {
		require.NoError(t, os.MkdirAll(filepath.Join(models, part), 0o755))
	}
	for name, test := range map[string]struct{ models, command, want string }{
		"no models folder": {"", "", "engine own: no models folder: open " + filepath.Join(home, ".ollama", "models", "manifests") + ": no such file or directory: set OLLAMA_MODELS to the folder of your models, or use engine: host"},
		"a file":           {file, "", file + "/manifests: not a directory: set OLLAMA_MODELS"},
		"no command":       {models, filepath.Join(home, "ollama"), "looking for the engine's ollama command (-ollama): "},
		"no command named": {models, "", `looking for the engine's ollama command (on PATH): exec: "ollama": executable file not found in $PATH; name another one with -ollama FILE`},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"-config", config, "-out", t.TempDir()}
			if test.command != "" {
				args = append(args, "-ollama", test.command)
			}
			printed, code := startAs(t, home, args, "OLLAMA_MODELS="+test.models, "PATH=/nonexistent").Wait()
			assert.Equal(t, 1, code)
			assert.Contains(t, printed, test.want)
		})
	}
}
