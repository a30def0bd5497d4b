package ollamarun

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestUserModelsOfAnotherUser looks for models as a user who may not read the folder of the service.
func TestUserModelsOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can act as another user")
	}
	root := t.TempDir()
	of := filepath.Join(root, "service")
	service := makeModels(t, filepath.Join(of, ".ollama", "models"))
	require.NoError(t, os.Chmod(of, 0o700))
	require.NoError(t, os.Chmod(filepath.Dir(root), 0o755)) // of all temporary folders of this test
	for dir := root; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o001 == 0 {
			t.Skipf("other users can't enter %s", dir)
		}
	}
	t.Setenv("OLLAMA_MODELS", "")
	t.Setenv("HOME", filepath.Join(root, "home"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // until its end: the next call concerns this thread alone
		const nobody = 65534
		if !assert.NoError(t, syscall.Setfsuid(nobody)) {
			return
		}
		dir, err := UserModels(service)
		assert.Equal(t, service, dir)
		assert.ErrorIs(t, err, fs.ErrPermission)
	}()
	<-done
}
