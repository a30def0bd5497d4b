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

// flash is a value of OLLAMA_FLASH_ATTENTION. If empty, the server decides.
type flash string

const (
	flashOwn flash = ""
	flashOn  flash = "1"
	flashOff flash = "0"
)

// String returns the value as printed in tables.
func (f flash) String() string {
	return map[flash]string{flashOwn: "own", flashOn: "on", flashOff: "off"}[f]
}

// server is an Ollama that drive starts, on loopback, with its own folders for models and home.
type server struct {
	ollama, models, home string
	// port is the same for all runs: a sweep is only resumed at the address at which it began.
	port int
	logs string // folder of its logs, one for each start
	url  *url.URL
	log  string // file of the latest start

	starts int
	flash  flash
	cmd    *exec.Cmd
	done   chan error
	exited chan struct{} // closed when cmd has ended
}

// ready ensures that the server runs with this flash attention and has no model loaded.
func (s *server) ready(ctx context.Context, f flash) error {
	if err := s.ensure(ctx, f); err != nil {
		return err
	}
	return unload(ctx, s.client())
}

// ensure ensures that the server runs with this flash attention. If not, it is started or restarted.
func (s *server) ensure(ctx context.Context, f flash) error {
	if s.cmd != nil && s.flash == f && !s.ended() {
		return nil
	}
	s.stop()
	if err := s.start(f); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	return s.waitUntilUp(ctx)
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
	s.done, s.exited, s.flash = make(chan error, 1), make(chan struct{}), f
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	go func(cmd *exec.Cmd, done chan<- error, exited chan<- struct{}) {
		done <- cmd.Wait()
		close(exited)
	}(s.cmd, s.done, s.exited)
	return nil
}

// environment returns the environment of the server, and of the ollama commands that use it.
func (s *server) environment(f flash) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OLLAMA_") && !strings.HasPrefix(v, "LLAMA_ARG_") {
			env = append(env, v)
		}
	}
	env = append(env, "HOME="+s.home, "OLLAMA_HOST="+s.url.Host, "OLLAMA_MODELS="+s.models, "OLLAMA_DEBUG=1",
		"OLLAMA_NO_CLOUD=1",
		"OLLAMA_NOPRUNE=1") // else the server deletes weights that no model uses yet
	if f != flashOwn {
		env = append(env, "OLLAMA_FLASH_ATTENTION="+string(f))
	}
	return env
}

// waitUntilUp waits until the server answers.
func (s *server) waitUntilUp(ctx context.Context) error {
	for {
		if _, err := s.client().Version(ctx); err == nil {
			return nil
		}
		select {
		case <-s.exited:
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
	case <-s.exited:
		return true
	default:
		return false
	}
}

// stop ends the server, if it runs, and the processes that it started.
func (s *server) stop() {
	if s.cmd != nil && !s.ended() {
		end(s.cmd, s.done, syscall.SIGTERM)
	}
	s.cmd = nil
}

// devices returns the devices that the server computes on, from its log. They may be logged after its
// first answer.
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
			return nil, fmt.Errorf("waiting for the server to log its devices: %w", err)
		}
	}
}
