// Package benchstat runs the pinned benchstat in tests.
package benchstat

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Rates runs benchstat in the folder dir on the tokens/s of the files in args, and returns its
// output. The test fails if benchstat prints a warning, since it exits with 0 even then. With
// -short the test is skipped, since benchstat has to be built.
func Rates(t *testing.T, dir string, args ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds benchstat")
	}
	tool, err := exec.Command("go", "tool", "-n", "benchstat").Output()
	require.NoError(t, err)
	var stdout, stderr strings.Builder
	cmd := exec.Command(strings.TrimSpace(string(tool)), append([]string{"-filter", ".unit:tokens/s"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	require.NoError(t, cmd.Run(), stderr.String())
	require.Empty(t, stderr.String())
	return stdout.String()
}
