package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/parser"
)

// newTemporary returns a new name for a temporary model and adds it to the out folder's list.
func (s *Server) newTemporary() (string, error) {
	name := thisSystem.self.newName()
	return name, s.mark(name)
}

// DeleteLeftovers unloads and deletes the temporary models that killed sweeps left on the server and
// returns their names. These are the models in the out folder's list, since no other sweep uses the
// folder now, and those of processes of this machine that have ended. Models whose process may or may
// not have ended are returned as unsure and kept.
func (s *Server) DeleteLeftovers(ctx context.Context) (deleted, unsure []string, err error) {
	marks, err := s.marks()
	if err != nil {
		return nil, nil, err
	}
	models, err := s.list(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range models {
		switch {
		case !temporaryName.MatchString(m.Name), thisSystem.alive(m.Name):
			continue
		case !leftover(m.Name) && !marks.contain(m.Name):
			unsure = append(unsure, m.Name)
			continue
		}
		// It may still be loaded, and its runner would then serve any model of the same
		// weights.
		if err := errors.Join(s.Unload(ctx, m.Name), s.delete(ctx, m.Name)); err != nil {
			return deleted, unsure, err
		}
		deleted = append(deleted, m.Name)
	}
	return deleted, unsure, s.unmarkMissing()
}

// delete deletes a temporary model of this sweep or of one that has ended. It is not an error if the
// server does not have it.
func (s *Server) delete(ctx context.Context, name string) error {
	marks, err := s.marks()
	if err != nil {
		return err
	}
	if o, ok := ownerOf(name); !ok || o != thisSystem.self && !leftover(name) && !marks.contain(name) {
		return fmt.Errorf("model %q is not a temporary model of this sweep, so it is not deleted", name)
	}
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	err = s.client().Delete(ctx, &api.DeleteRequest{Model: name})
	var status api.StatusError
	if gone := errors.As(err, &status) && status.StatusCode == http.StatusNotFound; err != nil && !gone {
		return s.failure(ctx, "deleting "+name, err)
	}
	return s.unmark(name)
}

// warnsOnStdout are parameters for which the client library's CreateRequest prints
// a warning on standard output, which benchmark tools would read as a configuration
// line. Servers have ignored these parameters for years.
var warnsOnStdout = []string{
	"penalize_newline", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "mirostat", "mirostat_tau", "mirostat_eta",
}

// create creates a model from the template over the API, and uploads the files that
// the template names.
func (s *Server) create(ctx context.Context, name string, m Modelfile) error {
	// If the current folder had a file with the model's name, the library would upload it.
	var from string
	var f parser.Modelfile
	hashed := m.weights.request()
	for _, c := range m.commands {
		switch {
		case slices.Contains(warnsOnStdout, c.Name):
		case c.Name == "model" && !filepath.IsAbs(c.Args):
			from = c.Args
		case hashed != nil && namesFile(c):
		default:
			f.Commands = append(f.Commands, c)
		}
	}
	req, err := f.CreateRequest("")
	if err != nil {
		return fmt.Errorf("reading modelfile: %w", err)
	}
	if hashed != nil {
		req.Files, req.DraftFiles, req.Adapters = hashed.Files, hashed.DraftFiles, hashed.Adapters
	}
	req.Model, req.From = name, from
	for _, files := range []*map[string]string{&req.Files, &req.DraftFiles, &req.Adapters} {
		if *files, err = s.upload(ctx, *files); err != nil {
			return err
		}
	}
	if err := s.client().Create(ctx, req, func(api.ProgressResponse) error { return nil }); err != nil {
		return fmt.Errorf("model of the template %q: %w", m.From(), s.failure(ctx, "creating it", err))
	}
	return nil
}

// upload sends files to the server. Files maps their paths to their digests; the result
// maps their base names, as the server expects them, to the same digests.
func (s *Server) upload(ctx context.Context, files map[string]string) (map[string]string, error) {
	if len(files) == 0 {
		return nil, nil
	}
	sent := make(map[string]string, len(files))
	for path, digest := range files {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("uploading a model's file: %w", err)
		}
		err = s.client().CreateBlob(ctx, digest, f)
		f.Close()
		if err != nil {
			return nil, s.failure(ctx, "uploading "+path, err)
		}
		sent[filepath.Base(path)] = digest
	}
	return sent, nil
}
