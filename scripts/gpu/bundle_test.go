package gpu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBundleErrors(t *testing.T) {
	ollama, llama, results := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(ollama, "llama/server/CMakeLists.txt"), "")
	write(t, filepath.Join(llama, "ggml/src/ggml-cuda/CMakeLists.txt"), "")
	write(t, filepath.Join(results, "notes"), "")
	sources := []string{"-ollama", ollama, "-llama", llama}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no sources", nil, "name a folder of sources with -ollama"},
		{"no llama.cpp", []string{"-ollama", ollama}, "name a folder of sources with -llama"},
		{"other sources", []string{"-ollama", llama}, "-ollama " + llama + ": no llama/server/CMakeLists.txt in it"},
		{"no version", sources, "name Ollama's version with -version"},
		{"no toolkit", append(sources, "-version", "0.1.2", "-cuda", ollama), "-cuda " + ollama + ": no bin/nvcc in it"},
		{"no value", []string{"-ollama"}, "-ollama needs a value"},
		{"unknown flag", []string{"-sources", "x"}, "no flag is called -sources: "},
		{"not a bundle", append(sources, "-version", "0.1.2", "-o", results), "is there already, and is no bundle"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			printed, code := script(t, nil, "./bundle", tt.args...)
			assert.Equal(t, 1, code)
			assert.Contains(t, printed, tt.want)
		})
	}
	assert.FileExists(t, filepath.Join(results, "notes"))
}

func TestPruneErrors(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no folder", nil, "usage: prune FOLDER"},
		{"missing folder", []string{filepath.Join(dir, "x")}, "no folder "},
		{"other sources", []string{dir}, "these sources differ from those that prune knows"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "template-instances"), 0o755))
			write(t, filepath.Join(dir, "mmq.cu"), "int main;\n")
			printed, code := script(t, nil, "./prune", tt.args...)
			assert.Equal(t, 1, code)
			assert.Contains(t, printed, tt.want)
		})
	}
}
