// Package benchstat runs the pinned benchstat in tests.
package benchstat

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Rates returns what benchstat prints of tokens/s with more arguments, and expects
// it to have no objection: it exits with 0 whatever it finds. dir is where files are
// named from. A short test is skipped, since benchstat has to be built.
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
