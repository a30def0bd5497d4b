package ollamarun

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
)

// ollamaScript writes a shell script named ollama and returns its file.
func ollamaScript(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ollama")
	script.Write(t, file, text)
	return file
}

const answersVersion = `echo "Warning: could not connect to a running Ollama instance"; echo "Warning: client version is 0.32.5"`

func TestCommandVersion(t *testing.T) {
	version, err := CommandVersion(t.Context(), ollamaScript(t, answersVersion))
	require.NoError(t, err)
	assert.Equal(t, "0.32.5", version)
	version, err = CommandVersion(t.Context(), ollamaScript(t, `[ "$OLLAMA_HOST" = 127.0.0.1:1 ] && echo "ollama version is 0.6.0"`))
	require.NoError(t, err, "the user's server is not queried for its version")
	assert.Equal(t, "0.6.0", version)
}

func TestEngineSource(t *testing.T) {
	good := ollamaScript(t, answersVersion)
	broken := ollamaScript(t, "echo error while loading shared libraries >&2; exit 127")
	missing := filepath.Join(t.TempDir(), "ollama")
	noModule := t.TempDir()
	for _, test := range []struct {
		name, path, ollama string
		file, origin, want string
	}{
		{name: "on PATH", path: filepath.Dir(good), file: good, origin: "on PATH"},
		{name: "named before PATH", path: filepath.Dir(broken), ollama: good, file: good, origin: "-ollama"},
		{name: "named by its name", path: filepath.Dir(good), ollama: "ollama", file: good, origin: "-ollama"},
		{name: "broken", path: filepath.Dir(broken), want: "ollama command (on PATH): " + broken + ` is not the ollama command: --version prints "error while loading shared libraries" (exit status 127); name another one with -ollama FILE`},
		{name: "named and missing", path: filepath.Dir(good), ollama: missing, want: "ollama command (-ollama): exec: \"" + missing + `": stat ` + missing + ": no such file or directory; name another one with -ollama FILE"},
		{name: "not a program", path: noModule, ollama: noModule, want: "is a directory"},
		{name: "none, and no source to build one", path: noModule, want: "run the command in a clone of the repository"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("PATH", test.path)
			file, origin, err := EngineSource{Ollama: test.ollama, Module: noModule}.find(t.Context(), new(bytes.Buffer))
			if test.want != "" {
				require.ErrorContains(t, err, test.want)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.file, file)
			assert.Equal(t, test.origin, origin)
		})
	}
}

func TestEngineSourceOfARelativeFile(t *testing.T) {
	good := ollamaScript(t, answersVersion)
	t.Chdir(filepath.Dir(good))
	file, _, err := EngineSource{Ollama: "./ollama"}.find(t.Context(), new(bytes.Buffer))
	require.NoError(t, err)
	assert.Equal(t, good, file, "the server has another working folder")
}

func TestEngineThatDoesNotServe(t *testing.T) {
	file := ollamaScript(t, `[ "$1" = --version ] || exit 1; `+answersVersion)
	out := t.TempDir()
	_, err := StartEngine(t.Context(), EngineSource{Ollama: file}, out, new(bytes.Buffer))
	require.ErrorContains(t, err, "starting the engine: it exited at once; its log is "+filepath.Join(out, EngineLog)+"; the command is "+file+" (-ollama): name another one with -ollama FILE")
	requireNoScratch(t, out)
}

// requireNoScratch requires that no temporary folder is left in the out folder.
func requireNoScratch(t *testing.T, out string) {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(out, ".ollama-sweep-*-*"))
	require.NoError(t, err)
	require.Empty(t, folders)
}
