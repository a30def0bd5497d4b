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

// TinyModel is the name of the one model that the embedded engine has.
const TinyModel = "tiny"

// EngineLog is the name of the embedded engine's log in its out folder.
const EngineLog = outdir.EngineLog

// Engine is an Ollama server of our own, on a loopback port that was free, with models and
// home in a folder of its own. Make one with StartEngine and end it with Stop.
type Engine struct {
	Server Server
	// Ollama is the file of its command.
	Ollama string

	home    *outdir.Scratch // removed at Stop
	alive   *os.File        // closed at Stop: the supervisor ends with it
	process *os.Process
	exited  chan struct{}
}

// supervise runs the server and ends it, with what it started, as soon as the
// other end of file 3 is closed: at Stop, and by the system when our process is
// gone in whatever way. All of them are in one process group, which is ours
// alone, so that `kill 0` reaches them and nobody else.
const supervise = `
"$0" serve </dev/null 3<&- &
server=$!
{ cat <&3; kill -TERM $server; sleep 1; kill -KILL 0; } >/dev/null 2>&1 &
wait $server
echo "engine: server ended with status $?"
kill -KILL 0
`

// engineStart is how long the server may take to answer first.
const engineStart = time.Minute

// StartEngine starts a server of the source's ollama command, creates TinyModel on it,
// and says which version of which command it is. Its log is engine.log in the out folder,
// which must be there, and is appended to. Log takes lines that begin with "# ".
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
		return nil, errors.Join(fmt.Errorf("%w; its log is %s; it is %s (%s): %s", err, logFile, file, origin, otherCommand), e.Stop())
	}
	fmt.Fprintf(log, "# engine: Ollama %s, %s (%s)\n", version, file, origin)
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
			return "", errors.New("starting the embedded engine: it ended at once")
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("starting the embedded engine: %w", context.Cause(ctx))
		}
	}
	gguf := filepath.Join(e.home.Path, "tiny.gguf")
	if err := tinymodel.Write(gguf); err != nil {
		return "", err
	}
	// One thread: several wait for each other by spinning, and where another
	// process takes a core, a prompt takes fifty times as long.
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
		"OLLAMA_NUM_PARALLEL=1", // else num_ctx is multiplied
		"OLLAMA_MAX_LOADED_MODELS=1",
		"OLLAMA_NO_CLOUD=1",
		"LLAMA_ARG_CACHE_RAM=0", // else llama-server keeps old prompts, and saves one before it reads the next
	)
	cmd.Dir = e.home.Path
	cmd.Stdout, cmd.Stderr = log, log
	// With the second file the folder is somebody's as long as one of its processes lives.
	cmd.ExtraFiles = []*os.File{watched, e.home.Owner}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		alive.Close()
		return fmt.Errorf("starting the embedded engine: %w", err)
	}
	e.alive, e.process, e.exited = alive, cmd.Process, make(chan struct{})
	e.Server.URL = &url.URL{Scheme: "http", Host: host}
	go func() {
		cmd.Wait() // ends by its own kill, so the status says nothing
		close(e.exited)
	}()
	return nil
}

// freePort returns a loopback port that nobody listens on. Another process can
// take it before the engine does, which then ends at once and says so.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// withoutOllama leaves out what a user has set for a server of their own.
func withoutOllama(env []string) []string {
	var rest []string
	for _, v := range env {
		if !strings.HasPrefix(v, "OLLAMA_") && !strings.HasPrefix(v, "LLAMA_ARG_") {
			rest = append(rest, v)
		}
	}
	return rest
}

// Exited is closed when the engine has ended, by Stop or by itself.
func (e *Engine) Exited() <-chan struct{} { return e.exited }

// stopTimeout covers the second that the supervisor gives the server.
const stopTimeout = 1500 * time.Millisecond

// Stop ends the engine and all it started, and removes its models. It may be
// called more than once.
func (e *Engine) Stop() error {
	e.alive.Close()
	select {
	case <-e.exited:
	case <-time.After(stopTimeout):
		syscall.Kill(-e.process.Pid, syscall.SIGKILL) // of a group whose leader we have not waited for: still ours
		<-e.exited
	}
	return e.home.Remove()
}
