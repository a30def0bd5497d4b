package ollamarun

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// engineProcess is a running server of an engine, with the processes that it started.
type engineProcess struct {
	alive *os.File // closing it makes the supervisor exit
	pid   int      // of the supervisor, and of the process group
	log   *ServerLog
	ended chan struct{} // closed when the supervisor has exited
	gone  chan struct{} // closed when the last of the processes has exited
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
echo "` + engineEnded + ` $?"
kill -KILL 0
`

// engineEnded begins the supervisor's line in the log.
const engineEnded = "engine: server ended with status"

// modelsFolder is the server's models folder, relative to its working folder: the path becomes part of a
// model's manifest, whose digest must not depend on where the sweep runs.
const modelsFolder = "models"

// start starts the server. It does not wait for it.
func (e *Engine) start() (p *engineProcess, err error) {
	host, err := e.address()
	if err != nil {
		return nil, fmt.Errorf("finding a port: %w", err)
	}
	file, err := e.dir.Append(EngineLog, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	defer file.Close()
	p = &engineProcess{ended: make(chan struct{}), gone: make(chan struct{})}
	if p.log, err = OpenServerLog(filepath.Join(e.dir.Path(), EngineLog)); err != nil {
		return nil, err
	}
	watched, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer watched.Close()
	lasts, last, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, alive.Close())
	}
	defer last.Close()
	cmd := exec.Command("/bin/sh", "-c", supervise, e.Ollama)
	cmd.Env = e.environment(host)
	cmd.Dir = e.home.Path
	cmd.Stdout, cmd.Stderr = file, file
	// The second file marks the folder as in use as long as one of the processes runs. The third shows
	// when the last of them has ended.
	cmd.ExtraFiles = []*os.File{watched, e.home.Owner, last}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, alive.Close(), lasts.Close())
	}
	p.alive, p.pid = alive, cmd.Process.Pid
	e.Server.URL = &url.URL{Scheme: "http", Host: host}
	go func() {
		cmd.Wait() // the supervisor kills itself, so its status means nothing
		close(p.ended)
	}()
	go func() {
		io.Copy(io.Discard, lasts) // until the end of the last process
		lasts.Close()
		close(p.gone)
	}()
	return p, nil
}

// stopTimeout includes the second for which the supervisor waits for the server.
const stopTimeout = 1500 * time.Millisecond

// end ends the processes. It may be called more than once.
func (p *engineProcess) end() {
	p.alive.Close()
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		syscall.Kill(-p.pid, syscall.SIGKILL) // its leader was not waited for, so the group ID is not reused
		<-p.ended
	}
}

// address returns the engine's address so far if nobody listens there, and otherwise one with a free
// port. Another process can take the port before the engine does; the engine then exits at once with an
// error.
func (e *Engine) address() (string, error) {
	if e.Server.URL != nil {
		if host, err := freeAddress(e.Server.URL.Host); err == nil {
			return host, nil
		}
	}
	return freeAddress("127.0.0.1:0")
}

// freeAddress returns the address, with a free port in the place of 0.
func freeAddress(host string) (string, error) {
	l, err := net.Listen("tcp", host)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ownSettings are the variables of the server's environment that only the engine sets.
var ownSettings = []string{"HOME", "OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_NOPRUNE"}

// checkSettings returns an error for a setting that the server must not have.
func checkSettings(env map[string]string) error {
	for _, name := range ownSettings {
		if _, ok := env[name]; ok {
			return fmt.Errorf("%s can't be a setting of the engine, which sets it itself", name)
		}
	}
	return nil
}

// environment returns the server's environment: the user's without settings of the user's own server,
// and the engine's settings.
func (e *Engine) environment(host string) []string {
	env := append(withoutOllama(os.Environ()),
		"HOME="+e.home.Path,
		"OLLAMA_HOST="+host,
		"OLLAMA_MODELS="+modelsFolder,
		"OLLAMA_NOPRUNE=1",
		"OLLAMA_NUM_PARALLEL=1", // otherwise num_ctx is multiplied
		"OLLAMA_MAX_LOADED_MODELS=1",
		"OLLAMA_NO_CLOUD=1",
		"LLAMA_ARG_CACHE_RAM=0", // otherwise llama-server saves each prompt's state before it evaluates the next
	)
	return append(env, assignments(e.env)...)
}

// assignments returns settings in the form NAME=VALUE, sorted.
func assignments(env map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, name+"="+env[name])
	}
	return all
}

// withSettings names the settings in a message, if there are any.
func withSettings(env map[string]string) string {
	if len(env) == 0 {
		return ""
	}
	return " with " + oneLine(strings.Join(assignments(env), " "))
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
