package ci

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
)

// command writes a shell script of that name into the folder.
func command(t *testing.T, dir, name, text string) {
	t.Helper()
	script.Write(t, filepath.Join(dir, name), text)
}

func TestInstall(t *testing.T) {
	const newest = "0.33.0"
	c, bin := newScripts(t), t.TempDir()
	// The official script downloads gigabytes: this one replaces it, and installs a command
	// without a server.
	command(t, bin, "curl", `[ "$*" = "-fsSL https://ollama.com/install.sh" ] || exit 22
cat <<'EOF'
case "${OLLAMA_VERSION:-}" in 0.0.*) version=`+newest+`;; *) version=${OLLAMA_VERSION:-`+newest+`};; esac
printf '#!/bin/sh\necho "Warning: client version is %s"\n' "$version" >"$BIN/ollama"
chmod +x "$BIN/ollama"
EOF
`)
	env := []string{"BIN=" + bin, "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")}
	for _, version := range []string{"0.6.8", "0.32.5", "latest"} {
		outputs, _, printed, code := c.step(t, "install", append(env, "VERSION="+version)...)
		require.Zero(t, code, printed)
		assert.Equal(t, filepath.Join(bin, "ollama"), outputs["ollama"])
	}
	outputs, _, printed, code := c.step(t, "install", append(env, "VERSION=0.0.9")...)
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "Ollama 0.0.9 was requested, but "+bin+"/ollama is another version")
	assert.Empty(t, outputs)
}

func TestVersions(t *testing.T) {
	c, bin := newScripts(t), t.TempDir()
	command(t, bin, "go", `echo "go $*, SWEEP_OLLAMA=$SWEEP_OLLAMA"
echo "# Ollama 0.32.5, /a/ollama"
echo "--- FAIL: TestA (0.01s)"
echo "# Ollama 0.32.5, /a/ollama: 19 passed, 1 failed in 2m3s TestA"
exit $CODE
`)
	for _, exit := range []string{"0", "1"} {
		_, summary, printed, code := c.step(t, "versions", "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "SWEEP_OLLAMA=/a/ollama", "CODE="+exit)
		assert.Equal(t, exit == "1", code == 1)
		assert.Contains(t, printed, "go test -v -p 1 -timeout 0 ./internal/test/endtoend ./internal/test/survives, SWEEP_OLLAMA=/a/ollama\n")
		assert.Equal(t, "- Ollama 0.32.5, /a/ollama: 19 passed, 1 failed in 2m3s TestA\n", summary)
	}
}
