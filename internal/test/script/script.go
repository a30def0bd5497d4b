// Package script writes the shell scripts that stand in for other programs in tests.
package script

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Write writes an executable shell script. A text without a #! line is for /bin/sh.
func Write(t testing.TB, file, text string) {
	t.Helper()
	if !strings.HasPrefix(text, "#!") {
		text = "#!/bin/sh\n" + text
	}
	// A process that another test starts meanwhile would hold the file open for writing until it
	// executes its program, and the script could not be run ("text file busy").
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	require.NoError(t, os.WriteFile(file, []byte(text), 0o755))
}
