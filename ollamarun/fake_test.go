package ollamarun

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// TestMain makes the test binary act as the ollama command when it is called
// through a link of that name. The environment selects what it does.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "ollama" {
		os.Exit(fakeCommand(os.Args[1:]))
	}
	flag.Set("test.parallel", "16") // they wait and don't compute; a flag of the user overrides this
	unloadWait = 200 * time.Millisecond
	os.Setenv("OLLAMA_CONTEXT_LENGTH", "7") // of a user's own server: no engine may take it over
	os.Exit(m.Run())
}

// fakeCommand simulates failures of the ollama command that are hard to provoke with
// the real one.
func fakeCommand(args []string) int {
	if args[0] == "--version" {
		return fakeVersion()
	}
	if args[0] == "create" && os.Getenv("FAKE") == "no create" {
		fmt.Fprint(os.Stderr, "\nError: (line 2): command must be one of \"from\", \"license\", \"template\", \"system\", \"adapter\", \"parameter\", or \"message\"\n")
		return 1
	}
	if args[0] == "create" {
		modelfile, _ := os.ReadFile(args[3])
		os.WriteFile(os.Getenv("FAKE_SEEN"), modelfile, 0o600)
		return 0
	}
	fake := os.Getenv("FAKE")
	if rest, ok := strings.CutSuffix(fake, " at first"); ok {
		fake = rest
		marker := os.Getenv("FAKE_SEEN") + ".run"
		if _, err := os.Stat(marker); err == nil {
			fake = ""
		}
		os.WriteFile(marker, nil, 0o600)
	}
	switch fake {
	case "no summary":
		unfinished, _ := os.ReadFile(os.Getenv("FAKE_UNFINISHED"))
		os.Stderr.Write(unfinished)
	case "error", "two lines", "too long", "busy", "loading":
		fmt.Fprintf(os.Stderr, "\x1b[?25l⠙ \x1b[K\x1b[2K\x1b[1G\x1b[?25hError: %s\n", fakeErrors[fake])
		return 1
	case "no message":
		return 3
	case "killed":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
	case "hang":
		time.Sleep(time.Minute)
	case "megabytes":
		for range 5 * 1024 {
			fmt.Fprint(os.Stderr, strings.Repeat("⠙ \x1b[K", 170), "\n")
		}
		fallthrough
	default:
		// Generated text can look like a summary, but goes to standard output.
		fmt.Println("prompt eval count:    1 token(s)\nprompt eval duration: 1ns")
		summary, _ := os.ReadFile(os.Getenv("FAKE_SUMMARY"))
		os.Stderr.Write(summary)
	}
	return 0
}

// fakeErrors are the error messages of the fake command.
var fakeErrors = map[string]string{
	"error":     "500 Internal Server Error: llama runner process has terminated: cudaMalloc failed: out of memory",
	"two lines": "500 Internal Server Error: llama-server process has terminated: exit status 1: ggml_cuda_host_malloc: failed to allocate 9.00 MiB of pinned memory: out of memory\nggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 99",
	"too long":  `400 Bad Request: {"error":{"code":400,"message":"request (3620 tokens) exceeds the available context size (512 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":3620,"n_ctx":512}}`,
	"busy":      "503 Service Unavailable: try later",
	"loading":   `503 Service Unavailable: {"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`,
}

// fakeVersion simulates `ollama --version`, which prints the server's version first.
func fakeVersion() int {
	switch os.Getenv("FAKE") {
	case "other version":
		fmt.Print("ollama version is 0.10.1\nWarning: client version is 0.5.4\n")
	case "no ollama":
		fmt.Print("GNU coreutils\n")
	case "hanging version":
		time.Sleep(time.Minute)
	default:
		fmt.Print("ollama version is 0.10.1\n")
	}
	return 0
}

func newFakeServer(t *testing.T) (*ollamatest.Server, *Server) {
	t.Helper()
	f := ollamatest.New(t)
	return f, &Server{URL: f.URL}
}
