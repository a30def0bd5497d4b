package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/ollama-sweep/ollama-sweep/parse"
)

// ownVersion matches what `ollama --version` says of itself:
//
//	ollama version is 0.10.1
//	Warning: client version is 0.9.0
//
// The first line is the server's version, and the second one is there when the
// command's own is another.
var ownVersion = regexp.MustCompile(`(?m)^(?:Warning: client|ollama) version is (\S+)$`)

// CommandVersion returns the version of an ollama command, such as "0.10.1". The error
// of a file that is none has what it says instead.
func CommandVersion(ctx context.Context, file string) (string, error) {
	return commandVersion(ctx, answerTime, func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, file, "--version")
		cmd.Env = append(withoutOllama(os.Environ()), "OLLAMA_HOST=127.0.0.1:1") // where no server is, whose version it would tell
		cmd.WaitDelay = interruptGrace
		return cmd
	})
}

// commandVersion does the same by a call of the command with --version.
func commandVersion(ctx context.Context, limit time.Duration, call func(context.Context) *exec.Cmd) (string, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out tail
	cmd := call(limited)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if limited.Err() != nil {
		return "", fmt.Errorf("%s --version did not end within %v", cmd.Path, limit)
	}
	if cmd.ProcessState == nil {
		return "", fmt.Errorf("calling %s --version: %w", cmd.Path, err)
	}
	versions := ownVersion.FindAllStringSubmatch(parse.Plain(out), -1)
	if err != nil || len(versions) == 0 {
		return "", fmt.Errorf("%s is not the ollama command: with --version it says %q (%v)", cmd.Path, oneLine(string(out)), cmd.ProcessState)
	}
	return versions[len(versions)-1][1], nil
}

// EngineSource says which ollama command an engine runs.
type EngineSource struct {
	Ollama string // the command or its file; empty for the one on PATH, else for one that is built
	Module string // folder of the Go module that it is built from
}

// find returns the command's file, building it where needed, and where it comes from. Log
// takes lines that begin with "# ".
func (s EngineSource) find(ctx context.Context, log io.Writer) (file, origin string, err error) {
	name, origin := s.Ollama, "-ollama"
	if name == "" {
		name, origin = "ollama", "on PATH"
	}
	file, err = exec.LookPath(name)
	if s.Ollama == "" && errors.Is(err, exec.ErrNotFound) {
		file, err = BuildEngine(ctx, s.Module, log)
		return file, "built from its Go module", err
	}
	if err == nil {
		file, err = filepath.Abs(file)
	}
	if err == nil {
		_, err = CommandVersion(ctx, file)
	}
	if err != nil {
		return "", "", fmt.Errorf("looking for the embedded engine's ollama command (%s): %w; %s", origin, err, otherCommand)
	}
	return file, origin, nil
}

// otherCommand says what to do where an ollama command is of no use as an engine.
const otherCommand = "-ollama FILE names another one, and without one on PATH it is built"
