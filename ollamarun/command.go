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

// versionLine matches the lines that `ollama --version` prints:
//
//	ollama version is 0.10.1
//	Warning: client version is 0.9.0
//
// The first line has the server's version. The second line is printed if the
// command has another version.
var versionLine = regexp.MustCompile(`(?m)^(?:Warning: client|ollama) version is (\S+)$`)

// CommandVersion returns the version of an ollama command, such as "0.10.1". If file is
// another program, the error quotes what it printed.
func CommandVersion(ctx context.Context, file string) (string, error) {
	return commandVersion(ctx, answerTimeout, func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, file, "--version")
		cmd.Env = append(withoutOllama(os.Environ()), "OLLAMA_HOST=127.0.0.1:1") // where no server listens: the command would print its version
		cmd.WaitDelay = interruptGrace
		return cmd
	})
}

// commandVersion is CommandVersion with a time limit, for the command that call returns.
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
		return "", fmt.Errorf("%s --version did not exit within %v", cmd.Path, limit)
	}
	if cmd.ProcessState == nil {
		return "", fmt.Errorf("calling %s --version: %w", cmd.Path, err)
	}
	versions := versionLine.FindAllStringSubmatch(parse.Plain(out), -1)
	if err != nil || len(versions) == 0 {
		return "", fmt.Errorf("%s is not the ollama command: --version prints %q (%v)", cmd.Path, oneLine(string(out)), cmd.ProcessState)
	}
	return versions[len(versions)-1][1], nil
}

// EngineSource selects the ollama command that an engine runs, its models and its settings.
type EngineSource struct {
	Ollama string // the command or its file; if empty, the one on PATH
	Module string // folder of the Go module that one is built from if PATH has none; empty for no build
	// Models is the user's models folder. The engine's server gets links to these models, so that no file
	// of them is written, added or removed. If empty, the engine has TinyModel.
	Models string
	// Env has settings of the server, by their names, such as OLLAMA_FLASH_ATTENTION. They override those
	// of the engine.
	Env map[string]string
}

// find returns the command's file, building it if needed, and where it comes from. log gets
// progress lines.
func (s EngineSource) find(ctx context.Context, log io.Writer) (file, origin string, err error) {
	if err := checkSettings(s.Env); err != nil {
		return "", "", err
	}
	name, origin := s.Ollama, "-ollama"
	if name == "" {
		name, origin = "ollama", "on PATH"
	}
	file, err = exec.LookPath(name)
	if s.Ollama == "" && s.Module != "" && errors.Is(err, exec.ErrNotFound) {
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
		return "", "", fmt.Errorf("looking for the engine's ollama command (%s): %w; %s", origin, err, s.advice())
	}
	return file, origin, nil
}

// advice ends the error of an ollama command that can't be used as an engine.
func (s EngineSource) advice() string {
	if s.Module == "" {
		return "name another one with -ollama FILE"
	}
	return "name another one with -ollama FILE; where PATH has none, one is built"
}

// described returns what the line that announces an engine says of its models and settings.
func (s EngineSource) described() string {
	text := withSettings(s.Env)
	if s.Models != "" {
		text += ", models of " + s.Models
	}
	return text
}
