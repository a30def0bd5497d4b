package setup

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
)

// TestFilesOfAnotherUser: files of another user's sweep are reported at the start, and not when the
// first sample is saved.
func TestFilesOfAnotherUser(t *testing.T) {
	if os.Getuid() == 0 && runtime.GOOS != "linux" {
		t.Skip("root may write everything, and a single thread can't drop that right here")
	}
	for _, name := range []string{checkpoint.LockFile, checkpoint.JournalName, outdir.RecordFile, outdir.Models, outdir.EngineLog} {
		dir := t.TempDir()
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, checkAccess(dir))
		require.NoError(t, os.Chmod(path, 0o400))
		err := make(chan error)
		go func() {
			asNobody(t)
			err <- checkAccess(dir)
		}()
		assert.ErrorContains(t, <-err, "this user can't write "+name)
	}
	assert.NoError(t, checkAccess(filepath.Join(t.TempDir(), "missing")))
}

// asNobody drops root's rights in the thread of this goroutine, which ends with it.
func asNobody(t *testing.T) {
	if os.Getuid() != 0 {
		return
	}
	runtime.LockOSThread()
	if _, _, err := syscall.RawSyscall(syscall.SYS_SETUID, 65534, 0, 0); err != 0 {
		t.Error(err)
	}
}
