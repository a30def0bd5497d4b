package ollamarun

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// ServiceModels is the models folder of the system service that Ollama's installer for Linux sets up.
const ServiceModels = "/usr/share/ollama/.ollama/models"

// UserModels returns the folder of the user's models as Ollama finds it: OLLAMA_MODELS, or else
// ~/.ollama/models. If the latter does not exist, it returns the folder service if that does. The folder
// is returned with the error too, which is an fs.ErrPermission if this user can't read it.
func UserModels(service string) (dir string, err error) {
	if named := strings.Trim(strings.TrimSpace(os.Getenv("OLLAMA_MODELS")), `"'`); named != "" {
		if dir, err = filepath.Abs(named); err != nil {
			return named, err
		}
		return dir, readModels(dir)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(home, ".ollama", modelsFolder)
	err = readModels(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if of := readModels(service); !errors.Is(of, fs.ErrNotExist) {
			return service, of
		}
	}
	return dir, err
}

// readModels returns an error if a models folder can't be read.
func readModels(dir string) error {
	for _, part := range []string{"manifests", "blobs"} {
		if _, err := os.ReadDir(filepath.Join(dir, part)); err != nil {
			return err
		}
	}
	return nil
}

// blobName matches the files of models in the blobs folder, unlike those of unfinished downloads. Old
// servers wrote a colon, and newer ones rename such files when they start.
var blobName = regexp.MustCompile(`^sha256[-:][0-9a-f]{64}$`)

// linkModels makes a models folder with the models of another one: copies of the manifests, and links to
// the blobs. A server that uses it, and creates and deletes models in it, neither adds nor removes a file
// of the other one. Temporary models are left out, since deleting them here would not delete them there.
func linkModels(of, dir string) error {
	wrap := func(err error) error { return fmt.Errorf("linking the models of %s: %w", of, err) }
	source := os.DirFS(of)
	// As Ollama finds them: host, namespace, model and tag.
	manifests, err := fs.Glob(source, "manifests/*/*/*/*")
	if err != nil {
		return wrap(err)
	}
	for _, manifest := range manifests {
		if temporaryName.MatchString(path.Base(path.Dir(manifest))) {
			continue
		}
		data, err := fs.ReadFile(source, manifest)
		if err != nil {
			return wrap(err)
		}
		file := filepath.Join(dir, filepath.FromSlash(manifest))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return wrap(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return wrap(err)
		}
	}
	blobs, err := fs.ReadDir(source, "blobs")
	if err != nil {
		return wrap(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs"), 0o700); err != nil {
		return wrap(err)
	}
	for _, blob := range blobs {
		if !blobName.MatchString(blob.Name()) {
			continue
		}
		if err := os.Symlink(filepath.Join(of, "blobs", blob.Name()), filepath.Join(dir, "blobs", blob.Name())); err != nil {
			return wrap(err)
		}
	}
	return nil
}
