package ollamarun

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/cpu"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

const engineSource = "../scripts/engine"

// TestEngineNeedsCompilers builds with a PATH that has no compilers and an empty
// cache.
func TestEngineNeedsCompilers(t *testing.T) {
	goFile, err := exec.LookPath("go")
	require.NoError(t, err)
	bin := t.TempDir()
	require.NoError(t, os.Symlink(goFile, filepath.Join(bin, "go")))
	t.Setenv("PATH", bin)
	_, err = buildEngine(t.Context(), engineSource, t.TempDir(), new(bytes.Buffer))
	assert.ErrorContains(t, err, `this machine has no "gcc"`)
	assert.ErrorContains(t, err, "apt-get install gcc g++")
	assert.ErrorContains(t, err, "-ollama FILE")
}

// TestVectorFlags checks that the flags come for both compilers or, on a CPU without the
// instructions, for none, and that those of a user stay.
func TestVectorFlags(t *testing.T) {
	plain := []string{"HOME=/home/user"}
	added := vectorFlags(plain)[1:]
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C {
		require.Len(t, added, 2)
		assert.Contains(t, added[0], "CGO_CFLAGS=-O2 -g -mavx2")
		assert.Contains(t, added[1], "CGO_CXXFLAGS=-O2 -g -mavx2")
	} else {
		assert.Empty(t, added)
	}
	for _, own := range []string{"CGO_CFLAGS=-O1", "CGO_CXXFLAGS=-O1"} {
		assert.Equal(t, []string{own}, vectorFlags([]string{own}))
	}
}

func TestEngineNeedsItsSource(t *testing.T) {
	_, err := buildEngine(t.Context(), t.TempDir(), t.TempDir(), new(bytes.Buffer))
	assert.ErrorContains(t, err, "run the command in a clone of the repository")
}

// builtSource returns a source with the command that is built from the module, whatever is on PATH.
func builtSource(t *testing.T) EngineSource {
	t.Helper()
	file, err := BuildEngine(t.Context(), engineSource, os.Stdout)
	require.NoError(t, err)
	return EngineSource{Ollama: file}
}

// TestEngine starts two engines one after the other, in different folders.
func TestEngine(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded engine")
	}
	t.Parallel()
	require.Equal(t, "7", os.Getenv("OLLAMA_CONTEXT_LENGTH"))
	outs := []string{t.TempDir(), t.TempDir()}
	source, digest := builtSource(t), ""
	for _, out := range outs {
		var log bytes.Buffer
		e, err := StartEngine(t.Context(), source, out, &log)
		require.NoError(t, err)
		assert.Equal(t, "engine: Ollama "+engineVersion+", "+source.Ollama+" (-ollama)\n", log.String())
		t.Cleanup(func() { assert.NoError(t, e.Stop()) })
		assert.True(t, net.ParseIP(e.Server.URL.Hostname()).IsLoopback())
		version, err := e.Server.Version(t.Context())
		require.NoError(t, err)
		assert.Equal(t, engineVersion, version)
		m, err := e.Server.Model(t.Context(), TinyModel)
		require.NoError(t, err)
		require.Len(t, m.Digest, 64)
		if digest == "" {
			digest = m.Digest
		}
		assert.Equal(t, digest, m.Digest, "the digest does not depend on the folder")

		a, err := NewAPI(t.Context(), &e.Server, TinyModel, nil, 2)
		require.NoError(t, err)
		loaded, err := a.Load(t.Context(), 1024, 64, ollamatest.Constant("warm up"))
		require.NoError(t, err)
		assert.Equal(t, 1024, loaded.ContextLength)
		requireCPUUse(t, a)
		require.NoError(t, a.Close(t.Context()))

		require.NoError(t, e.Stop())
		requireFree(t, e.Server.URL.Host)
		assert.NoDirExists(t, e.home.Path)
		requireNoProcess(t, e.process.pid)
	}
	a, err := os.ReadFile(filepath.Join(outs[0], EngineLog))
	require.NoError(t, err)
	assert.Contains(t, string(a), "--ctx-size 1024 --batch-size 64")
	assert.Contains(t, string(a), "engine: server ended with status 0", "it exited on request")
}

// TestEngineEndsWithItsProcess panics while an engine runs.
func TestEngineEndsWithItsProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded engine")
	}
	t.Parallel()
	out := os.Getenv("ENGINE_PANIC")
	if out != "" {
		_, err := StartEngine(t.Context(), builtSource(t), out, os.Stdout)
		require.NoError(t, err)
		go panic("on purpose")
		select {}
	}
	binary, err := os.Executable()
	require.NoError(t, err)
	out = t.TempDir()
	cmd := exec.Command(binary, "-test.run=^TestEngineEndsWithItsProcess$")
	cmd.Env = append(os.Environ(), "ENGINE_PANIC="+out)
	printed, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(printed), "panic: on purpose")
	log, err := os.ReadFile(filepath.Join(out, EngineLog))
	require.NoError(t, err)
	host := regexp.MustCompile(`Listening on (127\.0\.0\.1:\d+)`).FindSubmatch(log)
	require.NotNil(t, host)
	requireFree(t, string(host[1]))
}

// requireNoProcess requires that soon no process of a group remains. One that has ended may not have
// been waited for yet.
func requireNoProcess(t *testing.T, group int) {
	t.Helper()
	require.Eventually(t, func() bool {
		if errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
			return true
		}
		all, err := procfs.AllProcs()
		return err == nil && !slices.ContainsFunc(all, func(p procfs.Proc) bool {
			stat, err := p.Stat()
			return err == nil && stat.PGRP == group && stat.State != "Z" // which its parent has yet to notice
		})
	}, 10*time.Second, 20*time.Millisecond, "no process of the group remains")
}

func requireFree(t *testing.T, host string) {
	t.Helper()
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", host)
		if err == nil {
			c.Close()
		}
		return err != nil
	}, 10*time.Second, 20*time.Millisecond, "nobody listens on %s any more", host)
}

// requireCPUUse measures a long prompt and requires that the server's CPU use is recorded.
func requireCPUUse(t *testing.T, a *API) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	a.CPU = NewCPUMonitor()
	require.NotNil(t, a.CPU)
	_, err := a.Load(t.Context(), 8192, 512, ollamatest.Constant("warm up"))
	require.NoError(t, err)
	var sample measurement.Sample
	for repeats := 50; sample.CPU == nil && repeats <= 550; repeats *= 2 { // until it takes minCPUTime
		sample, err = a.Sample(t.Context(), ollamatest.Constant(strings.Repeat("a b c d e f g ", repeats)))
		require.NoError(t, err)
	}
	require.NotNil(t, sample.CPU, "%d tokens in %v", sample.PromptEvalCount, sample.Wall)
	assert.Positive(t, sample.CPU.Count)
	assert.Positive(t, sample.CPU.Server)
}
