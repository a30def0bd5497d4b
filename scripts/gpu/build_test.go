package gpu

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// folder is a bundle's folder after run has unpacked it, and a PATH with a fake cmake.
type folder struct{ dir, tools string }

func newFolder(t *testing.T) folder {
	t.Helper()
	needsXz(t)
	f := folder{dir: t.TempDir(), tools: t.TempDir()}
	copyOf(t, f.dir, "build", "engine.sh")
	write(t, filepath.Join(f.dir, "ollama"), "#!/bin/sh\n")
	write(t, filepath.Join(f.dir, "model"), "#!/bin/sh\ntouch \"$2\"\n")
	sources := t.TempDir()
	write(t, filepath.Join(sources, "ollama", "LLAMA_CPP_VERSION"), "b10091\n")
	archive(t, sources, filepath.Join(f.dir, "source.tar.xz"))
	self, err := os.Executable()
	require.NoError(t, err)
	write(t, filepath.Join(f.tools, "cmake"), `#!/bin/sh
if [ "$1" = --build ]; then
	mkdir -p "$2/bin" && ln -s '`+self+`' "$2/bin/llama-server" && touch "$2/bin/libggml.so" "$2/bin/libggml-cuda.so"
else
	for a; do [ "$a" != -DLLAMA_BUILD_NUMBER=10091 ] || exit 0; done
	echo no build number; exit 1
fi
`)
	write(t, filepath.Join(f.tools, "strip"), "#!/bin/sh\n")
	return f
}

// withoutCMake has every build of sources fail.
func (f folder) withoutCMake(t *testing.T) {
	t.Helper()
	write(t, filepath.Join(f.tools, "cmake"), "#!/bin/sh\necho no compiler; exit 1\n")
}

func (f folder) build(t *testing.T, args []string, env ...string) (printed string, code int) {
	t.Helper()
	return script(t, append(env, "GPU_BUILD_CUDA=off", path(f.tools)), filepath.Join(f.dir, "build"), args...)
}

// TestBuild: what a build packs is unpacked by the next, which does not build.
func TestBuild(t *testing.T) {
	f := newFolder(t)
	engine, out := t.TempDir(), t.TempDir()
	pid := filepath.Join(t.TempDir(), "pid")
	printed, code := f.build(t, []string{engine, out}, "FAKE_PID="+pid)
	require.Zero(t, code, printed)
	assertEnded(t, pid)
	assert.Contains(t, printed, "build: compile: ")
	assert.FileExists(t, filepath.Join(engine, "bin", "ollama"))
	assert.FileExists(t, filepath.Join(engine, "lib", "ollama", "llama-server"))
	parts, err := os.ReadDir(out)
	require.NoError(t, err)
	require.Len(t, parts, 1)
	assert.Equal(t, "engine.tar.xz.aa", parts[0].Name())

	require.NoError(t, os.Rename(out, filepath.Join(f.dir, "parts")))
	f.withoutCMake(t)
	engine = t.TempDir()
	printed, code = f.build(t, []string{engine, out})
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "the packed engine works")
	assert.FileExists(t, filepath.Join(engine, "bin", "ollama"))
	assert.FileExists(t, filepath.Join(engine, "lib", "ollama", "llama-server"))
	assert.NoFileExists(t, filepath.Join(out, "engine.tar.xz.aa"), "it is in the bundle already")
}

// assertEnded checks that no process has the id in a file: a llama-server that stays would hold memory
// of the GPU.
func assertEnded(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(string(text))
	require.NoError(t, err)
	assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
}

// TestBuildBrokenParts: an engine that can't be unpacked, or does not work, is built of the sources.
func TestBuildBrokenParts(t *testing.T) {
	f := newFolder(t)
	write(t, filepath.Join(f.dir, "parts", "engine.tar.xz.aa"), "broken")
	engine, out := t.TempDir(), t.TempDir()
	printed, code := f.build(t, []string{engine, out})
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "the packed engine does not work here")
	assert.Contains(t, printed, "build: compile: ")
	assert.FileExists(t, filepath.Join(out, "engine.tar.xz.aa"))

	printed, code = f.build(t, []string{engine}, "GPU_BUILD_PARTS=off")
	require.Zero(t, code, printed)
	assert.NotContains(t, printed, "unpack")
}

// TestBuildFailedCheck: an engine that fails the checks is packed, so that it need not be compiled again.
func TestBuildFailedCheck(t *testing.T) {
	f := newFolder(t)
	out := t.TempDir()
	printed, code := f.build(t, []string{t.TempDir(), out}, `FAKE_ANSWER={"error":"no memory"}`)
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "no memory")
	assert.Contains(t, printed, "what was built does not work here")
	assert.FileExists(t, filepath.Join(out, "engine.tar.xz.aa"))
}

func TestBuildErrors(t *testing.T) {
	f := newFolder(t)
	for _, tt := range []struct {
		name string
		args []string
		env  []string
		want string
	}{
		{"no engine", nil, nil, "usage: build ENGINE [OUT]"},
		{"an argument", []string{t.TempDir(), t.TempDir(), "x"}, nil, "usage: build ENGINE [OUT]"},
		{"another prompt", []string{t.TempDir()}, []string{`FAKE_ANSWER={"timings":{"prompt_n":1}}`}, "what was built does not work here"},
		{"no nvcc", []string{t.TempDir()}, []string{"GPU_BUILD_CUDA=on", "CUDA_HOME=" + t.TempDir()}, "set CUDA_HOME"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := append([]string{"GPU_BUILD_CUDA=off", path(f.tools)}, tt.env...)
			printed, code := script(t, env, filepath.Join(f.dir, "build"), tt.args...)
			assert.Equal(t, 1, code)
			assert.Contains(t, printed, tt.want)
		})
	}
	f.withoutCMake(t)
	out := t.TempDir()
	printed, code := f.build(t, []string{t.TempDir(), out})
	assert.NotZero(t, code)
	assert.Contains(t, printed, "no compiler")
	left, err := os.ReadDir(out)
	require.NoError(t, err)
	assert.Empty(t, left)
}
