package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/parser"

	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
)

// Marks keep the names of a sweep's temporary models in its out folder, a line each with the server's
// address, so that the next sweep there, which has the folder to itself, knows whose they are: also in another container, on
// another machine, or after a restart. A name is there before its model is made, and until that is
// deleted.
type Marks interface {
	// Read returns what was written last, and nothing where nothing was.
	Read() ([]byte, error)
	// Write replaces it; no data removes it.
	Write(data []byte) error
}

// marked returns the lines of the marks, and which names they have for this server. What is no
// temporary model's name is passed over.
func (s *Server) marked() (lines, names []string, err error) {
	if s.Marks == nil {
		return nil, nil, nil
	}
	data, err := s.Marks.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("reading which temporary models are this folder's: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		name, address, _ := strings.Cut(line, " ")
		if _, ok := ownerOf(name); !ok {
			continue
		}
		lines = append(lines, line)
		if address == s.Address() {
			names = append(names, name)
		}
	}
	return lines, names, nil
}

// mark changes the marks of this server: add is a name to add, empty for none, and drop are those to
// leave out.
func (s *Server) mark(add string, drop ...string) error {
	lines, _, err := s.marked()
	if err != nil || s.Marks == nil {
		return err
	}
	var b strings.Builder
	for _, line := range lines {
		name, address, _ := strings.Cut(line, " ")
		if address != s.Address() || !slices.ContainsFunc(drop, func(d string) bool { return modelname.Same(d, name) }) {
			b.WriteString(line + "\n")
		}
	}
	if add != "" {
		b.WriteString(add + " " + s.Address() + "\n")
	}
	if err := s.Marks.Write([]byte(b.String())); err != nil {
		return fmt.Errorf("noting which temporary models are this folder's: %w", err)
	}
	return nil
}

// newTemporary returns a name for a temporary model, which is marked as this sweep's.
func (s *Server) newTemporary() (string, error) {
	name := thisSystem.self().newName()
	return name, s.mark(name)
}

// DeleteLeftovers unloads and deletes the temporary models that crashed sweeps left on the server and
// returns their names: those that are marked in the out folder, where no other sweep is at work now,
// and those of processes of this machine that are gone. Of the others it returns those whose owner
// may be gone, which is not sure.
func (s *Server) DeleteLeftovers(ctx context.Context) (deleted, unsure []string, err error) {
	_, marked, err := s.marked()
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
		case !leftover(m.Name) && !slices.ContainsFunc(marked, func(name string) bool { return modelname.Same(name, m.Name) }):
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
	return deleted, unsure, s.mark("", marked...) // of all of them the models are gone
}

// delete deletes a temporary model. It is no error when there is none.
func (s *Server) delete(ctx context.Context, name string) error {
	if _, ok := ownerOf(name); !ok {
		return fmt.Errorf("model %q is not a temporary one of ours, so it is not deleted", name)
	}
	ctx, cancel := s.soon(ctx)
	defer cancel()
	err := s.client().Delete(ctx, &api.DeleteRequest{Model: name})
	var status api.StatusError
	if gone := errors.As(err, &status) && status.StatusCode == http.StatusNotFound; err != nil && !gone {
		return s.failure(ctx, "deleting "+name, err)
	}
	return s.mark("", name)
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
