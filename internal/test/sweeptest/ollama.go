package sweeptest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/semver"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// engineSource is the folder of the embedded engine's module.
var engineSource = filepath.Join(Root, "scripts/engine")

// named is the ollama command of SWEEP_OLLAMA that the tests run on, empty where it names none.
var named string

// built builds an ollama command once for all tests that need it. Whatever is on PATH is
// left alone: the tests' outcome is not to depend on it.
var built = sync.OnceValues(func() (string, error) {
	return ollamarun.BuildEngine(context.Background(), engineSource, os.Stderr)
})

// Ollama returns the file of the ollama command that the tests run on.
func Ollama(t testing.TB) string {
	t.Helper()
	if named != "" {
		return named
	}
	file, err := built()
	require.NoError(t, err)
	return file
}

// Before reports whether the ollama command is of a version before that one, such as "0.30.0".
func Before(t testing.TB, version string) bool {
	t.Helper()
	own, err := ollamarun.CommandVersion(t.Context(), Ollama(t))
	require.NoError(t, err)
	return semver.Compare("v"+strings.TrimPrefix(own, "v"), "v"+version) < 0
}

// ShownCtx returns the num_ctx that /api/ps has of a model that was loaded with that one: zero
// before 0.10, where it has none.
func ShownCtx(t testing.TB, numCtx int) int {
	t.Helper()
	if Before(t, "0.10.0") {
		return 0
	}
	return numCtx
}

// onEach runs the tests on each ollama command that SWEEP_OLLAMA lists, and prints a line
// for each; once where it lists none. It returns the highest exit code.
func onEach(m *testing.M) (code int) {
	list := filepath.SplitList(os.Getenv("SWEEP_OLLAMA"))
	if len(list) == 0 {
		return m.Run()
	}
	titles, err := titled(list)
	if err != nil {
		fmt.Fprintln(os.Stderr, "SWEEP_OLLAMA:", err)
		return 1
	}
	var lines []string
	for i, file := range list {
		fmt.Println(titles[i])
		named, passed, failed = file, 0, nil
		begun := time.Now()
		code = max(code, m.Run())
		line := fmt.Sprintf("%s: %d passed, %d failed in %v %s", titles[i], passed, len(failed), time.Since(begun).Round(time.Second), strings.Join(failed, " "))
		lines = append(lines, strings.TrimSpace(line))
	}
	fmt.Println(strings.Join(lines, "\n"))
	return code
}

// titled returns what the commands are called in the output, or why one is of no use.
func titled(list []string) (titles []string, err error) {
	for _, file := range list {
		if !filepath.IsAbs(file) {
			return nil, fmt.Errorf("%q is not the absolute path of an ollama command", file)
		}
		version, err := ollamarun.CommandVersion(context.Background(), file)
		if err != nil {
			return nil, err
		}
		titles = append(titles, fmt.Sprintf("# Ollama %s, %s", version, file))
	}
	return titles, nil
}

// What has become of the tests that need an engine.
var (
	counting sync.Mutex
	passed   int
	failed   []string
)

// count notes at a test's end how it went.
func count(t *testing.T) {
	t.Cleanup(func() {
		counting.Lock()
		defer counting.Unlock()
		switch {
		case t.Failed():
			failed = append(failed, t.Name())
		case !t.Skipped():
			passed++
		}
	})
}
