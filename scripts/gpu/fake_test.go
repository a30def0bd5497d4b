// Package gpu tests the scripts that take an Ollama to a machine with a GPU, without a GPU, a compiler
// and sources: programs that do as little as possible take their places.
package gpu

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain runs the fake llama-server if the binary has its name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "llama-server" {
		fmt.Fprintln(os.Stderr, serveCompletion(os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serveCompletion answers as llama-server does after a prompt of 600 tokens, or with $FAKE_ANSWER. It
// lists $FAKE_DEVICE as a device, and writes its process id to the file $FAKE_PID.
func serveCompletion(args []string) error {
	if slices.Contains(args, "--list-devices") {
		fmt.Println("Available devices:", os.Getenv("FAKE_DEVICE"))
		os.Exit(0)
	}
	port := slices.Index(args, "--port") + 1
	if port == 0 || port == len(args) {
		return errors.New("no --port")
	}
	if file := os.Getenv("FAKE_PID"); file != "" {
		if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			return err
		}
	}
	answer := os.Getenv("FAKE_ANSWER")
	if answer == "" {
		answer = `{"timings":{"prompt_n":600}}`
	}
	return http.ListenAndServe(net.JoinHostPort("127.0.0.1", args[port]), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, answer)
	}))
}

// write writes a program, or other text.
func write(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o755))
}

// archive writes a .tar.xz of a folder, as bundle does.
func archive(t *testing.T, dir, file string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "bash", "-c", `set -o pipefail; tar -C "$1" -c . | xz -1 >"$2"`, "bash", dir, file).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// needsXz skips a test where xz is not installed.
func needsXz(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("no xz on PATH")
	}
}

// copyOf copies scripts of this folder into a folder, and returns the path of the first.
func copyOf(t *testing.T, dir string, names ...string) string {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		write(t, filepath.Join(dir, name), string(text))
	}
	return filepath.Join(dir, names[0])
}

// script runs a script, and returns what it printed and its exit code. Of env, a variable replaces that
// of the same name.
func script(t *testing.T, env []string, path string, args ...string) (printed string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// path returns PATH with a folder before all others.
func path(dir string) string {
	return "PATH=" + strings.Join([]string{dir, os.Getenv("PATH")}, string(os.PathListSeparator))
}
