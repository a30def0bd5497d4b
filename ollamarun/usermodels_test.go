package ollamarun

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// makeModels makes an empty models folder.
func makeModels(t *testing.T, dir string) string {
	t.Helper()
	for _, part := range []string{"manifests", "blobs"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, part), 0o755))
	}
	return dir
}

func TestUserModels(t *testing.T) {
	root := t.TempDir()
	missing := filepath.Join(root, "missing")
	named := makeModels(t, filepath.Join(root, "named"))
	service := makeModels(t, filepath.Join(root, "service"))
	withModels, without := filepath.Join(root, "home"), filepath.Join(root, "other")
	home := makeModels(t, filepath.Join(withModels, ".ollama", "models"))
	file := filepath.Join(root, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, test := range []struct {
		name, env, home, service string
		dir, want                string
	}{
		{name: "named", env: named, home: withModels, service: service, dir: named},
		{name: "named in quotes", env: ` "` + named + `" `, home: withModels, service: service, dir: named},
		{name: "in the home folder", home: withModels, service: service, dir: home},
		{name: "of the service", home: without, service: service, dir: service},
		{name: "none", home: without, service: missing, dir: filepath.Join(without, ".ollama", "models"), want: "no such file or directory"},
		{name: "named and missing", env: missing, home: withModels, service: service, dir: missing, want: missing + "/manifests: no such file or directory"},
		{name: "named and not a folder", env: file, home: withModels, service: service, dir: file, want: "not a directory"},
		{name: "a service that has no folder", home: without, service: file, dir: file, want: "not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("OLLAMA_MODELS", test.env)
			t.Setenv("HOME", test.home)
			dir, err := UserModels(test.service)
			assert.Equal(t, test.dir, dir)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			assert.NotErrorIs(t, err, fs.ErrPermission)
		})
	}
}

func TestLinkModels(t *testing.T) {
	users, dir := makeModels(t, t.TempDir()), filepath.Join(t.TempDir(), "models")
	digest := strings.Repeat("0123456789abcdef", 4)
	write := func(path, text string) {
		t.Helper()
		file := filepath.Join(users, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	write("manifests/registry.ollama.ai/library/llama3/latest", "{}")
	write("manifests/hf.co/someone/model-GGUF/Q4_K_M", "{ }")
	write("manifests/registry.ollama.ai/library/ollama-sweep-tmp-0123456789ab-4711-88123-1/latest", "of a killed sweep")
	write("manifests/registry.ollama.ai/library/note", "not a manifest")
	write("blobs/sha256-"+digest, "weights")
	write("blobs/sha256:"+digest, "as old servers name them")
	write("blobs/sha256-"+digest+"-partial", "a download")
	require.NoError(t, linkModels(users, dir))

	var all []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if !d.IsDir() {
			name, err := filepath.Rel(dir, path)
			require.NoError(t, err)
			all = append(all, name)
		}
		return nil
	}))
	assert.Equal(t, []string{"blobs/sha256-" + digest, "blobs/sha256:" + digest, "manifests/hf.co/someone/model-GGUF/Q4_K_M", "manifests/registry.ollama.ai/library/llama3/latest"}, all)
	text, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256-"+digest))
	require.NoError(t, err)
	assert.Equal(t, "weights", string(text))
	require.NoError(t, os.RemoveAll(dir))
	assert.FileExists(t, filepath.Join(users, "blobs", "sha256-"+digest))

	assert.ErrorContains(t, linkModels(filepath.Join(users, "missing"), dir), "linking the models of "+filepath.Join(users, "missing")+": ")
}
