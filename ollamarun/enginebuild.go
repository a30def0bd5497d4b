package ollamarun

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/cpu"
)

// engineVersion is the version of Ollama that scripts/engine pins.
const engineVersion = "0.10.1"

// BuildEngine builds the ollama command from the Go module in the folder source into the
// user's cache folder, unless it is there already, and returns its file. Of two processes
// at the same time, one builds and the other waits. log gets progress lines.
func BuildEngine(ctx context.Context, source string, log io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a folder for the embedded engine: %w", err)
	}
	return buildEngine(ctx, source, cache, log)
}

// buildEngine builds into a given cache folder.
func buildEngine(ctx context.Context, source, cache string, log io.Writer) (string, error) {
	env := append(vectorFlags(os.Environ()), "CGO_ENABLED=1", "GOWORK=off")
	key, err := engineKey(ctx, source, env)
	if err != nil {
		return "", err
	}
	engine := cachedEngine{cache: cache, dir: filepath.Join(cache, "ollama-sweep", "engine-"+engineVersion+"-"+key)}
	if err := engine.makeFolder(); err != nil {
		return "", err
	}
	why := engine.check()
	if why == nil {
		return engine.file(), nil
	}
	if !errors.Is(why, fs.ErrNotExist) {
		fmt.Fprintf(log, "the embedded Ollama in %s is not used: %v\n", engine.dir, why)
	}
	fmt.Fprintf(log, "building the embedded Ollama %s into %s: once, a few minutes\n", engineVersion, engine.dir)
	defer tick(log, "still building the embedded Ollama")()
	lock := flock.New(filepath.Join(engine.dir, "lock"))
	if _, err := lock.TryLockContext(ctx, time.Second); err != nil {
		return "", fmt.Errorf("waiting for another build of the embedded engine: %w", err)
	}
	defer lock.Unlock()
	if engine.check() == nil {
		return engine.file(), nil
	}
	begun := time.Now()
	if err := engine.build(ctx, source, env); err != nil {
		return "", err
	}
	fmt.Fprintf(log, "built the embedded Ollama in %v\n", time.Since(begun).Round(time.Second))
	return engine.file(), nil
}

// build builds the command from the Go module in the folder source.
func (c cachedEngine) build(ctx context.Context, source string, env []string) error {
	if err := needCompilers(ctx, source, env); err != nil {
		return err
	}
	part := c.file() + ".part"
	if err := os.RemoveAll(part); err != nil { // left by a build that was killed
		return fmt.Errorf("building the embedded engine: %w", err)
	}
	if _, err := goCommand(ctx, source, env, "build", "-trimpath", "-ldflags", "-s -w -X github.com/ollama/ollama/version.Version="+engineVersion, "-o", part, "github.com/ollama/ollama"); err != nil {
		return fmt.Errorf("building the embedded engine: %w", err)
	}
	if err := c.keep(part); err != nil {
		return fmt.Errorf("saving the embedded engine: %w", err)
	}
	return nil
}

// vectorFlags adds flags to an environment of the go command, with which the C compiler uses the
// vector instructions of this machine's CPU, as published builds of Ollama do. Without them it
// compiles for the oldest x86-64, whose rates are a sixth. Flags of the user stay as they are.
func vectorFlags(env []string) []string {
	have := cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C
	set := func(assignment string) bool {
		return strings.HasPrefix(assignment, "CGO_CFLAGS=") || strings.HasPrefix(assignment, "CGO_CXXFLAGS=")
	}
	if !have || slices.ContainsFunc(env, set) {
		return env
	}
	const flags = "-O2 -g -mavx2 -mfma -mf16c" // after those that the go command has by itself
	return append(env, "CGO_CFLAGS="+flags, "CGO_CXXFLAGS="+flags)
}

// engineKey returns a key that differs between builds of different sources,
// toolchains, flags or targets.
func engineKey(ctx context.Context, source string, env []string) (string, error) {
	hash := sha256.New()
	files, err := filepath.Glob(filepath.Join(source, "*"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("the embedded engine's source is not in %s: run the command in a clone of the repository", source)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
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

// needCompilers returns an error that names what to install if cgo has no compiler.
// The go command's own error would name a missing package instead.
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
			return fmt.Errorf("the embedded engine is compiled from C and C++, and this machine has no %q (%w): install gcc and g++ (Debian and Ubuntu: apt-get install gcc g++; Fedora: dnf install gcc gcc-c++; macOS: xcode-select --install), or name an ollama command that you have with -ollama FILE", words[0], err)
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

// tick repeats a line with the elapsed time until the returned function is called.
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
