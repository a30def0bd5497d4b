package gpu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// toolkit returns a folder with the files of a CUDA toolkit that build looks for.
func toolkit(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"bin/nvcc", "lib64/libcudart.so.13", "lib64/libcublas.so.13", "lib64/stubs/libcuda.so"} {
		write(t, filepath.Join(dir, name), "#!/bin/sh\n")
	}
	return dir
}

// needing has the CUDA library need these libraries, and the loader find them beside it alone.
func (f folder) needing(t *testing.T, names string) {
	t.Helper()
	write(t, filepath.Join(f.tools, "ldd"), `#!/bin/sh
for name in libcuda.so.1 `+names+`; do
	[ -e "${1%/*}/$name" ] || echo "	$name => not found"
done
`)
}

// TestBuildCUDA: the CUDA library gets a copy of the runtime, which goes along with it, and a link to a
// large library, which is another on another machine.
func TestBuildCUDA(t *testing.T) {
	f, home := newFolder(t), toolkit(t)
	f.needing(t, "libcudart.so.13 libcublas.so.13")
	engine := t.TempDir()
	env := []string{"GPU_BUILD_CUDA=on", "CUDA_HOME=" + home, "LD_LIBRARY_PATH=", path(f.tools)}
	printed, code := script(t, append(env, "FAKE_DEVICE=CUDA0: NVIDIA H100"), filepath.Join(f.dir, "build"), engine)
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "CUDA0: NVIDIA H100")
	lib := filepath.Join(engine, "lib", "ollama")
	assert.NoFileExists(t, filepath.Join(lib, "libggml-cuda.so"), "Ollama looks for it in a folder of its own")
	assert.FileExists(t, filepath.Join(lib, "cuda_v13", "libggml-cuda.so"))
	info, err := os.Lstat(filepath.Join(lib, "cuda_v13", "libcudart.so.13"))
	require.NoError(t, err)
	assert.True(t, info.Mode().IsRegular())
	to, err := os.Readlink(filepath.Join(lib, "cuda_v13", "libcublas.so.13"))
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(home, "lib64", "libcublas.so.13"), to)
}

func TestBuildCUDAErrors(t *testing.T) {
	for _, tt := range []struct{ name, needs, device, want string }{
		{"no GPU", "libcudart.so.13", "", "what was built does not work here"},
		{"no library", "libnone.so.1", "CUDA0: NVIDIA H100", "no libnone.so.1 on this machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFolder(t)
			f.needing(t, tt.needs)
			printed, code := script(t, []string{"GPU_BUILD_CUDA=on", "CUDA_HOME=" + toolkit(t), "FAKE_DEVICE=" + tt.device, path(f.tools)},
				filepath.Join(f.dir, "build"), t.TempDir())
			assert.Equal(t, 1, code)
			assert.Contains(t, printed, tt.want)
		})
	}
}
