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

// fromEnv is the ollama command of SWEEP_OLLAMA that the tests currently run on, empty if that
// is not set.
var fromEnv string

// built builds an ollama command once for all tests that need it. One on PATH is not used: the
// tests must not depend on it.
var built = sync.OnceValues(func() (string, error) {
	return ollamarun.BuildEngine(context.Background(), engineSource, os.Stderr)
})

// Ollama returns the file of the ollama command that the tests run on.
func Ollama(t testing.TB) string {
	t.Helper()
	if fromEnv != "" {
		return fromEnv
	}
	file, err := built()
	require.NoError(t, err)
	return file
}

// Before reports whether the version of the ollama command is lower than version, such as
// "0.30.0".
func Before(t testing.TB, version string) bool {
	t.Helper()
	own, err := ollamarun.CommandVersion(t.Context(), Ollama(t))
	require.NoError(t, err)
	return semver.Compare("v"+strings.TrimPrefix(own, "v"), "v"+version) < 0
}

// ShownCtx returns the num_ctx that /api/ps reports for a model loaded with numCtx: zero before
// 0.10, which does not report it.
func ShownCtx(t testing.TB, numCtx int) int {
	t.Helper()
	if Before(t, "0.10.0") {
		return 0
	}
	return numCtx
}

// runOnEachOllama runs the tests on each ollama command in SWEEP_OLLAMA, and prints a line with
// the outcome for each. If SWEEP_OLLAMA is not set, it runs them once. It returns the highest exit
// code.
func runOnEachOllama(m *testing.M) (code int) {
	list := filepath.SplitList(os.Getenv("SWEEP_OLLAMA"))
	if len(list) == 0 {
		return m.Run()
	}
	titles, err := titlesOf(list)
	if err != nil {
		fmt.Fprintln(os.Stderr, "SWEEP_OLLAMA:", err)
		return 1
	}
	var lines []string
	for i, file := range list {
		fmt.Println(titles[i])
		fromEnv, passed, failed = file, 0, nil
		begun := time.Now()
		code = max(code, m.Run())
		line := fmt.Sprintf("%s: %d passed, %d failed in %v %s", titles[i], passed, len(failed), time.Since(begun).Round(time.Second), strings.Join(failed, " "))
		lines = append(lines, strings.TrimSpace(line))
	}
	fmt.Println(strings.Join(lines, "\n"))
	return code
}

// titlesOf returns the headings of the ollama commands in the output, or an error if one can't
// be used.
func titlesOf(list []string) (titles []string, err error) {
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

// Outcomes of the tests that need an engine.
var (
	outcomesMu sync.Mutex
	passed     int
	failed     []string
)

// countOutcome counts the outcome of a test when it ends.
func countOutcome(t *testing.T) {
	t.Cleanup(func() {
		outcomesMu.Lock()
		defer outcomesMu.Unlock()
		switch {
		case t.Failed():
			failed = append(failed, t.Name())
		case !t.Skipped():
			passed++
		}
	})
}
