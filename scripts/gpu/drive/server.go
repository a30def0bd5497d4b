package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/parse"
)

// flash is a value of OLLAMA_FLASH_ATTENTION: empty where the server decides.
type flash string

const (
	flashOwn flash = ""
	flashOn  flash = "1"
	flashOff flash = "0"
)

// String is what tables have.
func (f flash) String() string {
	return map[flash]string{flashOwn: "own", flashOn: "on", flashOff: "off"}[f]
}

// server is an Ollama of our own, on a port of loopback, with models and home in folders of its own.
type server struct {
	ollama, models, home string
	// port is the same for all runs: a sweep is only resumed at the address that it was begun at.
	port int
	logs string // folder of its logs, one for each start
	url  *url.URL
	log  string // of the newest start

	starts int
	flash  flash
	cmd    *exec.Cmd
	done   chan error
	gone   chan struct{} // closed when it has ended
}

// ready has the server run with a setting and nothing loaded. It starts it anew where it does not run,
// or with another.
func (s *server) ready(ctx context.Context, f flash) error {
	if err := s.ensure(ctx, f); err != nil {
		return err
	}
	return unload(ctx, s.client())
}

func (s *server) ensure(ctx context.Context, f flash) error {
	if s.cmd != nil && s.flash == f && !s.ended() {
		return nil
	}
	s.stop()
	if err := s.start(f); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	return s.answers(ctx)
}

func (s *server) start(f flash) error {
	for _, dir := range []string{s.models, s.home, s.logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	s.starts++
	s.log = filepath.Join(s.logs, fmt.Sprintf("server-%d.log", s.starts))
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	s.url = &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))}
	s.cmd = exec.Command(s.ollama, "serve")
	s.cmd.Env = s.environment(f)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.done, s.gone, s.flash = make(chan error, 1), make(chan struct{}), f
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	go func(cmd *exec.Cmd, done chan<- error, gone chan<- struct{}) {
		done <- cmd.Wait()
		close(gone)
	}(s.cmd, s.done, s.gone)
	return nil
}

// environment is that of the server, and of commands that call it.
func (s *server) environment(f flash) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OLLAMA_") && !strings.HasPrefix(v, "LLAMA_ARG_") {
			env = append(env, v)
		}
	}
	env = append(env, "HOME="+s.home, "OLLAMA_HOST="+s.url.Host, "OLLAMA_MODELS="+s.models, "OLLAMA_DEBUG=1",
		"OLLAMA_NO_CLOUD=1",
		"OLLAMA_NOPRUNE=1") // else it removes weights that no model has yet
	if f != flashOwn {
		env = append(env, "OLLAMA_FLASH_ATTENTION="+string(f))
	}
	return env
}

// answers waits until the server does.
func (s *server) answers(ctx context.Context) error {
	for {
		if _, err := s.client().Version(ctx); err == nil {
			return nil
		}
		select {
		case <-s.gone:
			return fmt.Errorf("the server ended at once (see %s)", filepath.Base(s.log))
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server: %w", context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *server) client() *api.Client { return api.NewClient(s.url, &http.Client{}) }

func (s *server) ended() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// stop ends the server, where it runs, and what it started.
func (s *server) stop() {
	if s.cmd != nil && !s.ended() {
		end(s.cmd, s.done, syscall.SIGTERM)
	}
	s.cmd = nil
}

// devices are what the server's log says that it computes on, which may come after its first answer.
func (s *server) devices(ctx context.Context) ([]string, error) {
	for {
		text, err := os.ReadFile(s.log)
		if err != nil {
			return nil, err
		}
		devices, err := parse.Devices(bytes.NewReader(text))
		if err != nil || len(devices) > 0 {
			return devices, err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, fmt.Errorf("waiting for the server to name its devices: %w", err)
		}
	}
}
