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

// newTemporary returns a name for a temporary model, which is marked as this sweep's.
func (s *Server) newTemporary() (string, error) {
	name := thisSystem.self.newName()
	return name, s.mark(name)
}

// DeleteLeftovers unloads and deletes the temporary models that crashed sweeps left on the server and
// returns their names: those that are marked in the out folder, where no other sweep is at work now,
// and those of processes of this machine that are gone. Of the others it returns those whose owner
// may be gone, which is not sure.
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
		case !leftover(m.Name) && !marks.have(m.Name):
			unsure = append(unsure, m.Name)
			continue
		}
		// It can still be loaded, and its runner would serve a model of the same
		// weights.
		if err := errors.Join(s.Unload(ctx, m.Name), s.delete(ctx, m.Name)); err != nil {
			return deleted, unsure, err
		}
		deleted = append(deleted, m.Name)
	}
	return deleted, unsure, s.unmarkMissing()
}

// delete deletes a temporary model that this sweep made, or one that a sweep made which is gone. It
// is no error when there is none.
func (s *Server) delete(ctx context.Context, name string) error {
	marks, err := s.marks()
	if err != nil {
		return err
	}
	if o, ok := ownerOf(name); !ok || o != thisSystem.self && !leftover(name) && !marks.have(name) {
		return fmt.Errorf("model %q is not a temporary one of ours, so it is not deleted", name)
	}
	ctx, cancel := s.soon(ctx)
	defer cancel()
	err = s.client().Delete(ctx, &api.DeleteRequest{Model: name})
	var status api.StatusError
	if gone := errors.As(err, &status) && status.StatusCode == http.StatusNotFound; err != nil && !gone {
		return s.failure(ctx, "deleting "+name, err)
	}
	return s.unmark(name)
}

// warnsOnStdout are the parameters of which the client library's CreateRequest
// prints a line on standard output, where it would pass for a benchmark's
// config. Servers have ignored them for years.
var warnsOnStdout = []string{
	"penalize_newline", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "mirostat", "mirostat_tau", "mirostat_eta",
}

// create makes a model of the template over the API, sending the files that it
// names.
func (s *Server) create(ctx context.Context, name string, m Modelfile) error {
	// The library would take a file of the current folder for a model of its name.
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

// upload sends the files, given with their digests, and returns them under the
// names by which the server knows them.
func (s *Server) upload(ctx context.Context, files map[string]string) (map[string]string, error) {
	if len(files) == 0 {
		return nil, nil
	}
	sent := make(map[string]string, len(files))
	for path, digest := range files {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("sending a model's file: %w", err)
		}
		err = s.client().CreateBlob(ctx, digest, f)
		f.Close()
		if err != nil {
			return nil, s.failure(ctx, "sending "+path, err)
		}
		sent[filepath.Base(path)] = digest
	}
	return sent, nil
}
