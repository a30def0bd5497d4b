package ollamarun

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/parser"
)

// Temporary models carry a name that says whose they are:
// ollama-sweep-tmp-1f3a9c07-4711-1 is the first of process 4711 of the machine
// 1f3a9c07. One whose process is gone was left by a crash and may be deleted;
// one of another machine may be in use.
var temporaryName = regexp.MustCompile(`^ollama-sweep-tmp-([0-9a-f]{8})-([0-9]{1,9})-[0-9]{1,9}(:latest)?$`)

var temporaryCount atomic.Int32

func newTemporaryName() string {
	return fmt.Sprintf("ollama-sweep-tmp-%s-%d-%d", machineID(), os.Getpid(), temporaryCount.Add(1))
}

// machineID tells process numbers apart that mean different processes: by the
// host's name and, where there is one, by the namespace that containers have
// for their own numbers.
func machineID() string {
	host, _ := os.Hostname() // empty is as good a name as any
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	sum := sha256.Sum256([]byte(host + "\n" + namespace))
	return hex.EncodeToString(sum[:4])
}

// leftover reports whether the model is a temporary one of a process of this
// machine that is gone.
func leftover(model string) bool {
	match := temporaryName.FindStringSubmatch(model)
	if match == nil || match[1] != machineID() {
		return false
	}
	pid, err := strconv.Atoi(match[2])
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// DeleteLeftovers unloads and deletes the temporary models that crashed sweeps
// of this machine left on the server, and returns their names.
func (s *Server) DeleteLeftovers(ctx context.Context) (deleted []string, err error) {
	listing, cancel := s.soon(ctx)
	defer cancel()
	list, err := s.client().List(listing)
	if err != nil {
		return nil, s.failure(listing, "listing models", err)
	}
	for _, m := range list.Models {
		if !leftover(m.Name) {
			continue
		}
		// It can still be loaded, and its runner would serve a model of the same
		// weights.
		if err := errors.Join(s.Unload(ctx, m.Name), s.delete(ctx, m.Name)); err != nil {
			return deleted, err
		}
		deleted = append(deleted, m.Name)
	}
	return deleted, nil
}

// delete deletes a temporary model. It is no error when there is none.
func (s *Server) delete(ctx context.Context, name string) error {
	if !temporaryName.MatchString(name) {
		return fmt.Errorf("model %q is not a temporary one of ours, so it is not deleted", name)
	}
	ctx, cancel := s.soon(ctx)
	defer cancel()
	err := s.client().Delete(ctx, &api.DeleteRequest{Model: name})
	var status api.StatusError
	if errors.As(err, &status) && status.StatusCode == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return s.failure(ctx, "deleting "+name, err)
	}
	return nil
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
