package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/tinymodel"
)

// TinyModel is the name of the embedded engine's only model.
const TinyModel = "tiny"

// EngineLog is the file name of the embedded engine's log in the out folder.
const EngineLog = outdir.EngineLog

// Engine is a private Ollama server on a free loopback port, with its models and home in a
// temporary folder. Start one with StartEngine and end it with Stop.
type Engine struct {
	Server Server
	// Ollama is the file of its command.
	Ollama string

	home    *outdir.Scratch // removed by Stop
	alive   *os.File        // closed by Stop, which makes the supervisor exit
	process *os.Process
	exited  chan struct{}
}

// supervise runs the server and ends it, with all processes that it started, as
// soon as the other end of file descriptor 3 is closed: by Stop, or by the system
// when our process exits for any reason. They share a process group with nobody
// else, so `kill 0` reaches exactly them.
const supervise = `
"$0" serve </dev/null 3<&- &
server=$!
{ cat <&3; kill -TERM $server; sleep 1; kill -KILL 0; } >/dev/null 2>&1 &
wait $server
echo "engine: server ended with status $?"
kill -KILL 0
`

// engineStart is how long the server may take until its first answer.
const engineStart = time.Minute

// StartEngine starts a server with the source's ollama command, creates TinyModel on it,
// and prints version and file of the command. The server's log is appended to engine.log in
// the folder out, which must exist.
func StartEngine(ctx context.Context, source EngineSource, out string, log io.Writer) (*Engine, error) {
	file, origin, err := source.find(ctx, log)
	if err != nil {
		return nil, err
	}
	e := &Engine{Ollama: file}
	dir, err := outdir.Open(out, "", nil)
	if err != nil {
		return nil, err
	}
	if e.home, err = dir.Scratch("engine"); err != nil {
		return nil, err
	}
	logFile := filepath.Join(out, EngineLog)
	if err := e.start(dir); err != nil {
		return nil, errors.Join(err, e.home.Remove())
	}
	version, err := e.prepare(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; its log is %s; the command is %s (%s): %s", err, logFile, file, origin, commandAdvice), e.Stop())
	}
	fmt.Fprintf(log, "engine: Ollama %s, %s (%s)\n", version, file, origin)
	return e, nil
}

// prepare waits for the server, creates its model and returns the server's version.
func (e *Engine) prepare(ctx context.Context) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, engineStart)
	defer cancel()
	for {
		if version, err = e.Server.Version(ctx); err == nil {
			break
		}
		select {
		case <-e.exited:
			return "", errors.New("starting the embedded engine: it exited at once")
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("starting the embedded engine: %w", context.Cause(ctx))
		}
	}
	gguf := filepath.Join(e.home.Path, "tiny.gguf")
	if err := tinymodel.Write(gguf); err != nil {
		return "", err
	}
	// One thread: several wait for each other by spinning, and if another process
	// takes a core, a prompt takes fifty times as long.
	return version, e.Server.create(ctx, TinyModel, FromModel(gguf).WithParameter("num_thread", 1))
}

func (e *Engine) start(dir *outdir.Dir) error {
	port, err := freePort()
	if err != nil {
		return fmt.Errorf("finding a port for the embedded engine: %w", err)
	}
	host := net.JoinHostPort("127.0.0.1", port)
	log, err := dir.Append(EngineLog, 0o600)
	if err != nil {
		return fmt.Errorf("opening the engine's log: %w", err)
	}
	defer log.Close()
	watched, alive, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the embedded engine: %w", err)
	}
	defer watched.Close()
	cmd := exec.Command("/bin/sh", "-c", supervise, e.Ollama)
	cmd.Env = append(withoutOllama(os.Environ()),
		"HOME="+e.home.Path,
		"OLLAMA_HOST="+host,
		// Relative to the working folder: the path becomes part of a model's
		// manifest, whose digest must not depend on where the sweep runs.
		"OLLAMA_MODELS=models",
		"OLLAMA_NUM_PARALLEL=1", // otherwise num_ctx is multiplied
		"OLLAMA_MAX_LOADED_MODELS=1",
		"OLLAMA_NO_CLOUD=1",
		"LLAMA_ARG_CACHE_RAM=0", // otherwise llama-server saves each prompt's state before it evaluates the next
	)
	cmd.Dir = e.home.Path
	cmd.Stdout, cmd.Stderr = log, log
	// The second file marks the folder as in use as long as one of the processes runs.
	cmd.ExtraFiles = []*os.File{watched, e.home.Owner}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		alive.Close()
		return fmt.Errorf("starting the embedded engine: %w", err)
	}
	e.alive, e.process, e.exited = alive, cmd.Process, make(chan struct{})
	e.Server.URL = &url.URL{Scheme: "http", Host: host}
	go func() {
		cmd.Wait() // the supervisor kills itself, so its status means nothing
		close(e.exited)
	}()
	return nil
}

// freePort returns a loopback port on which nothing listens. Another process can
// take it before the engine does; the engine then exits at once with an error.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// withoutOllama returns the environment without the settings of the user's own server.
func withoutOllama(env []string) []string {
	var rest []string
	for _, v := range env {
		if !strings.HasPrefix(v, "OLLAMA_") && !strings.HasPrefix(v, "LLAMA_ARG_") {
			rest = append(rest, v)
		}
	}
	return rest
}

// Exited returns a channel that is closed when the engine has exited, whether by Stop or not.
func (e *Engine) Exited() <-chan struct{} { return e.exited }

// stopTimeout includes the second for which the supervisor waits for the server.
const stopTimeout = 1500 * time.Millisecond

// Stop ends the engine and all processes that it started, and removes its models.
// It may be called more than once.
func (e *Engine) Stop() error {
	e.alive.Close()
	select {
	case <-e.exited:
	case <-time.After(stopTimeout):
		syscall.Kill(-e.process.Pid, syscall.SIGKILL) // its leader was not waited for, so the group ID is not reused
		<-e.exited
	}
	return e.home.Remove()
}
