package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tiny is the shape of a model of some hundred kB.
var tiny = []string{"-layers", "1", "-width", "64", "-inner", "64", "-heads", "2", "-kv-heads", "1", "-vocab", "300"}

func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestModel(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "model.gguf")
	code, digest, stderr := command(t, append(tiny, "-o", file, "-type", "q8_0")...)
	require.Zero(t, code, stderr)
	assert.FileExists(t, file)

	models := filepath.Join(dir, "models")
	code, _, stderr = command(t, append(tiny, "-models", models, "-name", "big", "-type", "q8_0", "-num-thread", "2")...)
	require.Zero(t, code, stderr)
	assert.FileExists(t, filepath.Join(models, "blobs", "sha256-"+strings.TrimSpace(strings.TrimPrefix(digest, "sha256:"))))
	left, err := os.ReadDir(filepath.Join(models, "blobs"))
	require.NoError(t, err)
	assert.Len(t, left, 3, "weights, parameters and config")
	manifest, err := os.ReadFile(filepath.Join(models, "manifests/registry.ollama.ai/library/big/latest"))
	require.NoError(t, err)
	assert.Contains(t, string(manifest), strings.TrimSpace(digest))
}

func TestModelErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"help", []string{"-h"}, 0, "-kv-heads"},
		{"no destination", nil, 2, "use either -o FILE"},
		{"two destinations", []string{"-o", "x", "-models", "y", "-name", "z"}, 2, "use either"},
		{"no name", []string{"-models", "x"}, 2, "use either"},
		{"unknown type", []string{"-type", "q3"}, 2, "write f16 or q8_0"},
		{"invalid shape", []string{"-o", "x", "-width", "100"}, 2, "multiples of 32"},
		{"missing folder", append(tiny, "-o", filepath.Join(t.TempDir(), "missing", "x")), 1, "creating the model"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := command(t, tt.args...)
			assert.Equal(t, tt.code, code)
			assert.Contains(t, stdout+stderr, tt.want)
		})
	}
}
