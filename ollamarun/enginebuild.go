package ollamarun

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// engineVersion is the Ollama that scripts/engine pins.
const engineVersion = "0.10.1"

// engineFiles are what a build leaves in the cache folder.
type engineFiles struct {
	ollama string // command and server
	model  string // GGUF of the tiny model
}

// buildEngine builds Ollama and generates the tiny model from the Go module in
// the folder source, unless the folder cache has them already. Of two processes
// at once, one builds and the other waits. Log takes lines that begin with "# "
// while it works.
func buildEngine(ctx context.Context, source, cache string, log io.Writer) (engineFiles, error) {
	env := append(os.Environ(), "CGO_ENABLED=1", "GOWORK=off")
	key, err := engineKey(ctx, source, env)
	if err != nil {
		return engineFiles{}, err
	}
	dir := filepath.Join(cache, "ollama-sweep", "engine-"+engineVersion+"-"+key)
	files := engineFiles{ollama: filepath.Join(dir, "ollama"), model: filepath.Join(dir, "tiny.gguf")}
	if files.complete() {
		return files, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return engineFiles{}, fmt.Errorf("making a folder for the embedded engine: %w", err)
	}
	fmt.Fprintf(log, "# building the embedded Ollama %s into %s: once, a few minutes\n", engineVersion, dir)
	defer tick(log, "# still building the embedded Ollama")()
	lock := flock.New(filepath.Join(dir, "lock"))
	if _, err := lock.TryLockContext(ctx, time.Second); err != nil {
		return engineFiles{}, fmt.Errorf("waiting for another build of the embedded engine: %w", err)
	}
	defer lock.Unlock()
	if files.complete() {
		return files, nil
	}
	if err := needCompilers(ctx, source, env); err != nil {
		return engineFiles{}, err
	}
	begun := time.Now()
	for _, step := range []struct {
		file string
		args []string // all but the file
	}{
		{files.model, []string{"run", ".", "-o"}},
		{files.ollama, []string{"build", "-trimpath", "-ldflags", "-s -w -X github.com/ollama/ollama/version.Version=" + engineVersion, "-o"}},
	} {
		part := step.file + ".part"
		args := append(step.args, part)
		if args[0] == "build" {
			args = append(args, "github.com/ollama/ollama")
		}
		if _, err := goCommand(ctx, source, env, args...); err != nil {
			return engineFiles{}, fmt.Errorf("building the embedded engine: %w", err)
		}
		if err := os.Rename(part, step.file); err != nil {
			return engineFiles{}, fmt.Errorf("building the embedded engine: %w", err)
		}
	}
	fmt.Fprintf(log, "# built the embedded Ollama in %v\n", time.Since(begun).Round(time.Second))
	return files, nil
}

func (f engineFiles) complete() bool {
	for _, file := range []string{f.ollama, f.model} {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return true
}

// engineKey tells builds apart that must not stand for each other: another
// source, another toolchain or another target.
func engineKey(ctx context.Context, source string, env []string) (string, error) {
	hash := sha256.New()
	files, err := filepath.Glob(filepath.Join(source, "*"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("the embedded engine's source is not at %s: run in a clone of the repository", source)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || isDir(file) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("reading the embedded engine's source: %w", err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(file), len(data), data)
	}
	toolchain, err := goCommand(ctx, source, env, "env", "GOVERSION", "GOOS", "GOARCH", "GOAMD64", "CC", "CXX", "CGO_CFLAGS", "CGO_CXXFLAGS")
	if err != nil {
		return "", err
	}
	hash.Write(toolchain)
	return hex.EncodeToString(hash.Sum(nil)[:6]), nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// needCompilers says what to install where cgo has no compiler, before the go
// command would say it in the words of a missing package.
func needCompilers(ctx context.Context, source string, env []string) error {
	out, err := goCommand(ctx, source, env, "env", "CC", "CXX")
	if err != nil {
		return err
	}
	for _, compiler := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		words := strings.Fields(compiler) // "gcc", or "ccache gcc -m64"
		if len(words) == 0 {
			continue
		}
		if _, err := exec.LookPath(words[0]); err != nil {
			return fmt.Errorf("the embedded engine is compiled from C and C++, and there is no %q here (%w): install gcc and g++ (Debian and Ubuntu: apt-get install gcc g++; Fedora: dnf install gcc gcc-c++; macOS: xcode-select --install), or sweep an Ollama that you have with -engine host -host URL -model NAME", words[0], err)
		}
	}
	return nil
}

// goCommand runs the go command in the folder and returns its standard output.
func goCommand(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// tick repeats a line with the time gone by, until the returned function ends
// it.
func tick(log io.Writer, line string) (stop func()) {
	begun, done, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(10 * time.Second)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				fmt.Fprintf(log, "%s: %v\n", line, time.Since(begun).Round(time.Second))
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}
