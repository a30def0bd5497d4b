package ollamarun

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// startEngine starts an engine with its log in the folder out, and stops it when the test ends.
func startEngine(t *testing.T, source EngineSource, out string) *Engine {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the embedded engine")
	}
	source.Ollama = builtSource(t).Ollama
	e, err := StartEngine(t.Context(), source, out, new(bytes.Buffer))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Stop()) })
	e.Server.ServerLog, err = OpenServerLog(filepath.Join(out, EngineLog))
	require.NoError(t, err)
	return e
}

// load loads a model on the engine.
func load(t *testing.T, e *Engine, model string) *API {
	t.Helper()
	a, err := NewAPI(t.Context(), &e.Server, model, nil, 2)
	require.NoError(t, err)
	_, err = a.Load(t.Context(), 1024, 64, ollamatest.Constant("warm up"))
	require.NoError(t, err)
	return a
}

// requireSetting requires the server's OLLAMA_NUM_PARALLEL by its log.
func requireSetting(t *testing.T, e *Engine, value string) {
	t.Helper()
	start, err := e.Server.Start()
	require.NoError(t, err)
	require.Equal(t, value, start.Settings["OLLAMA_NUM_PARALLEL"])
}

func requireRuns(t *testing.T, e *Engine) {
	t.Helper()
	select {
	case <-e.Exited():
		t.Fatal("the engine has exited")
	default:
	}
}

// TestEngineRestart restarts an engine that has a model in memory.
func TestEngineRestart(t *testing.T) {
	t.Parallel()
	e := startEngine(t, EngineSource{Env: map[string]string{"OLLAMA_NUM_PARALLEL": "1", "OLLAMA_KEEP_ALIVE": "1h"}}, t.TempDir())
	requireSetting(t, e, "1")
	a := load(t, e, TinyModel)
	url, group := e.Server.URL.String(), e.process.pid

	require.NoError(t, e.Restart(t.Context(), "", map[string]string{"OLLAMA_NUM_PARALLEL": "2"}))
	requireNoProcess(t, group)
	requireRuns(t, e)
	assert.Equal(t, url, e.Server.URL.String())
	requireSetting(t, e, "2")
	text, err := e.Server.ServerLog.Since()
	require.NoError(t, err)
	assert.Empty(t, string(text), "the log from the old server is not read as that of the new one")
	_, err = a.Load(t.Context(), 1024, 64, ollamatest.Constant("warm up"))
	require.NoError(t, err, "the runner uses the new server")

	require.NoError(t, syscall.Kill(-e.process.pid, syscall.SIGKILL))
	<-e.Exited()
	require.NoError(t, e.Restart(t.Context(), "", map[string]string{"OLLAMA_NUM_PARALLEL": "1"}), "a server that has ended by itself")
	requireRuns(t, e)
	requireSetting(t, e, "1")

	require.NoError(t, e.Stop())
	<-e.Exited()
	assert.ErrorContains(t, e.Restart(t.Context(), "", nil), "the engine was stopped")
}

// TestEngineRestartFails restarts an engine with settings and commands that don't work.
func TestEngineRestartFails(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	e := startEngine(t, EngineSource{}, out)
	log := "its log is " + filepath.Join(out, EngineLog)
	restart := func(ollama, name, value string) error {
		return e.Restart(t.Context(), ollama, map[string]string{name: value})
	}
	assert.EqualError(t, restart("", "OLLAMA_HOST", "0.0.0.0"), "OLLAMA_HOST can't be a setting of the engine, which sets it itself")
	missing := filepath.Join(out, "ollama")
	assert.ErrorContains(t, restart(missing, "OLLAMA_NUM_PARALLEL", "1"), missing+": no such file or directory; name another one with -ollama FILE")
	_, err := e.Server.Version(t.Context())
	require.NoError(t, err, "it still runs")

	err = restart("", "OLLAMA_NUM_PARALLEL", "two")
	require.EqualError(t, err, "starting the engine with OLLAMA_NUM_PARALLEL=two: the server does not accept OLLAMA_NUM_PARALLEL=two and would use its default; "+log)
	requireFree(t, e.Server.URL.Host)
	requireRuns(t, e)
	good := e.Ollama
	refuses := ollamaScript(t, `[ "$1" = --version ] || { echo "Error: no such cache type"; exit 1; }; `+answersVersion)
	assert.EqualError(t, restart(refuses, "OLLAMA_KV_CACHE_TYPE", "q9"), "starting the engine with OLLAMA_KV_CACHE_TYPE=q9: it exited at once: Error: no such cache type; "+log)
	requireRuns(t, e)

	taken, err := net.Listen("tcp", e.Server.URL.Host)
	require.NoError(t, err)
	defer taken.Close()
	require.NoError(t, restart(good, "OLLAMA_NUM_PARALLEL", "2"))
	assert.NotEqual(t, taken.Addr().String(), e.Server.URL.Host)
	requireSetting(t, e, "2")
	load(t, e, TinyModel)

	require.NoError(t, e.Stop())
	<-e.Exited()
}

// TestEngineRestartWaitsForMemory checks that the new server is started once the GPU's memory is free.
func TestEngineRestartWaitsForMemory(t *testing.T) {
	e := startEngine(t, EngineSource{}, t.TempDir())
	used := filepath.Join(t.TempDir(), "used")
	require.NoError(t, os.WriteFile(used, []byte("20000"), 0o644))
	fakeSMI(t, `while :; do read used <"`+used+`"; echo "0, 61, 1980, 290.10, $used, 95, 0x0"; sleep 0.02; done`)
	e.Server.Monitor = startMonitor(t)
	require.NotNil(t, e.Server.Monitor)
	e.Server.idleMiB = 300
	old := e.process
	restarted := make(chan error, 1)
	go func() { restarted <- e.Restart(t.Context(), "", nil) }()
	<-old.gone
	select {
	case err := <-restarted:
		t.Fatalf("it did not wait for the memory: %v", err)
	case <-e.Server.Monitor.news:
	}
	require.NoError(t, os.WriteFile(used, []byte("500"), 0o644))
	require.NoError(t, <-restarted)
	_, err := e.Server.Version(t.Context())
	require.NoError(t, err)
}

// TestEngineOfUsersModels starts an engine on the models of another one.
func TestEngineOfUsersModels(t *testing.T) {
	first := startEngine(t, EngineSource{}, t.TempDir())
	users := t.TempDir()
	require.NoError(t, os.CopyFS(users, os.DirFS(filepath.Join(first.home.Path, modelsFolder))))
	model, err := first.Server.Model(t.Context(), TinyModel)
	require.NoError(t, err)
	before := tree(t, users)

	e := startEngine(t, EngineSource{Models: users}, t.TempDir())
	same, err := e.Server.Model(t.Context(), TinyModel)
	require.NoError(t, err)
	assert.Equal(t, model, same)
	require.NoError(t, load(t, e, TinyModel).Close(t.Context()))
	_, err = e.Server.Model(t.Context(), "llama3")
	assert.ErrorContains(t, err, `model "llama3": requesting its description: `)
	assert.ErrorContains(t, err, "; "+users+" has tiny:latest; OLLAMA_MODELS names another folder")
	require.NoError(t, e.Stop())
	assert.Equal(t, before, tree(t, users))
}

// entry is a file or a folder.
type entry struct {
	Mode    fs.FileMode
	Size    int64
	Changed time.Time
	Text    string
}

// tree returns all entries of a folder and its subfolders.
func tree(t *testing.T, dir string) map[string]entry {
	t.Helper()
	all := make(map[string]entry)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		info, infoErr := d.Info()
		require.NoError(t, errors.Join(err, infoErr))
		e := entry{Mode: info.Mode(), Size: info.Size(), Changed: info.ModTime()}
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			e.Text = string(text)
		}
		all[path] = e
		return nil
	}))
	return all
}
