package ollamarun

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
)

// fakeBuild puts a go command on PATH that "builds" a short script. The returned function counts the
// builds.
func fakeBuild(t *testing.T) (builds func() int) {
	t.Helper()
	bin := t.TempDir()
	log := filepath.Join(bin, "builds")
	text := `if [ "$1" = env ]; then echo sh; echo sh; exit; fi
echo build >>"` + log + `"
while [ "$1" != -o ]; do shift; done
[ -e "$2" ] && exit 1
printf '#!/bin/sh\necho ollama version is 0.10.1\n' >"$2"
chmod +x "$2"
`
	script.Write(t, filepath.Join(bin, "go"), text)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return func() int {
		text, _ := os.ReadFile(log)
		return strings.Count(string(text), "build")
	}
}

// TestEngineCache checks that a built command is used again only if it is unchanged and nobody else
// could have written it.
func TestEngineCache(t *testing.T) {
	remade := func(why string, spoil func(t *testing.T, file string)) func(*testing.T) {
		return func(t *testing.T) {
			builds, cache := fakeBuild(t), t.TempDir()
			file, err := buildEngine(t.Context(), engineSource, cache, new(bytes.Buffer))
			require.NoError(t, err)
			require.Equal(t, 1, builds())
			spoil(t, file)
			var log bytes.Buffer
			again, err := buildEngine(t.Context(), engineSource, cache, &log)
			require.NoError(t, err)
			assert.Equal(t, file, again)
			if why == "" {
				assert.Equal(t, 1, builds())
				assert.Empty(t, log.String())
				return
			}
			assert.Equal(t, 2, builds(), "it is built anew")
			assert.Contains(t, log.String(), "the embedded Ollama in "+filepath.Dir(file)+" is not used: ")
			assert.Contains(t, log.String(), why)
			out, err := exec.Command(again).Output()
			require.NoError(t, err)
			assert.Equal(t, "ollama version is 0.10.1\n", string(out))
			info, err := os.Lstat(again)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o755), info.Mode())
			check := exec.Command("sha256sum", "-c", "ollama.sha256")
			check.Dir = filepath.Dir(file)
			if _, err := exec.LookPath("sha256sum"); err == nil {
				require.NoError(t, check.Run())
			}
		}
	}
	t.Run("as it was built", remade("", func(*testing.T, string) {}))
	t.Run("truncated", remade("its checksum differs", func(t *testing.T, file string) {
		require.NoError(t, os.Truncate(file, 20))
	}))
	t.Run("empty", remade("its checksum differs", func(t *testing.T, file string) {
		require.NoError(t, os.Truncate(file, 0))
	}))
	t.Run("a changed byte", remade("its checksum differs", func(t *testing.T, file string) {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte{0}, 15)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}))
	t.Run("without a checksum", remade("it has no checksum", func(t *testing.T, file string) {
		require.NoError(t, os.Remove(file+".sha256"))
	}))
	t.Run("half a checksum", remade("its checksum differs", func(t *testing.T, file string) {
		require.NoError(t, os.Truncate(file+".sha256", 10))
	}))
	t.Run("writable by all", remade("other users can write to (mode 0777)", func(t *testing.T, file string) {
		require.NoError(t, os.Chmod(file, 0o777))
	}))
	t.Run("writable by a group", remade("its group can write to (mode 0775)", func(t *testing.T, file string) {
		require.NoError(t, os.Chmod(file, 0o775))
	}))
	t.Run("not executable", remade("it is not executable", func(t *testing.T, file string) {
		require.NoError(t, os.Chmod(file, 0o644))
	}))
	t.Run("a link", remade("it is not a regular file", func(t *testing.T, file string) {
		require.NoError(t, os.Rename(file, file+"2"))
		require.NoError(t, os.Symlink(file+"2", file))
	}))
	t.Run("another user's", remade("belongs to another user (uid 65534)", func(t *testing.T, file string) {
		if os.Geteuid() != 0 {
			t.Skip("only root can give a file away")
		}
		require.NoError(t, os.Chown(file, 65534, 65534))
	}))
	t.Run("what a killed build left", remade("its checksum differs", func(t *testing.T, file string) {
		require.NoError(t, os.WriteFile(file+".part", []byte("half"), 0o644))
		require.NoError(t, os.Truncate(file, 5))
	}))
}

// TestEngineFolderOfOthers checks that nothing is built or run in a folder that others can write to.
func TestEngineFolderOfOthers(t *testing.T) {
	for i, name := range []string{"the cache folder", "the program's", "the build's"} {
		t.Run(name, func(t *testing.T) {
			builds, cache := fakeBuild(t), filepath.Join(t.TempDir(), "cache")
			file, err := buildEngine(t.Context(), engineSource, cache, new(bytes.Buffer))
			require.NoError(t, err)
			dir := []string{cache, filepath.Join(cache, "ollama-sweep"), filepath.Dir(file)}[i]
			refused := func(why string) {
				t.Helper()
				_, err := buildEngine(t.Context(), engineSource, cache, new(bytes.Buffer))
				require.ErrorContains(t, err, "the embedded engine is not run from "+dir+", which "+why)
				assert.ErrorContains(t, err, cacheAdvice)
				assert.Equal(t, 1, builds())
			}
			require.NoError(t, os.Chmod(dir, 0o777))
			refused("other users can write to (mode 0777)")
			require.NoError(t, os.Chmod(dir, 0o770))
			refused("its group can write to (mode 0770)")
			require.NoError(t, os.Chmod(dir, 0o755))
			if os.Geteuid() == 0 {
				require.NoError(t, os.Chown(dir, 65534, 65534))
				refused("belongs to another user (uid 65534)")
				require.NoError(t, os.Chown(dir, 0, 0))
			}
			_, err = buildEngine(t.Context(), engineSource, cache, new(bytes.Buffer))
			require.NoError(t, err)
			assert.Equal(t, 1, builds())
		})
	}
}

// TestEngineUnderAnyUmask checks that others can't write to the engine even with a umask of 0.
func TestEngineUnderAnyUmask(t *testing.T) {
	builds, cache := fakeBuild(t), filepath.Join(t.TempDir(), "cache")
	defer syscall.Umask(syscall.Umask(0))
	for range 2 {
		_, err := buildEngine(t.Context(), engineSource, cache, new(bytes.Buffer))
		require.NoError(t, err)
	}
	assert.Equal(t, 1, builds())
}

// TestEngineOnADiskWithoutExecution checks that a noexec file system is reported before the build,
// which takes minutes.
func TestEngineOnADiskWithoutExecution(t *testing.T) {
	cache := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "noexec,mode=755", "none", cache).Run(); err != nil {
		t.Skip("only root can mount a disk")
	}
	t.Cleanup(func() { assert.NoError(t, exec.Command("umount", cache).Run()) })
	builds := fakeBuild(t)
	_, err := buildEngine(t.Context(), engineSource, cache, new(bytes.Buffer))
	require.ErrorContains(t, err, "the file system may be mounted with noexec")
	assert.ErrorContains(t, err, cacheAdvice)
	assert.Zero(t, builds())
}
