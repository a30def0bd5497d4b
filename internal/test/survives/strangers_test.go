package survives

import (
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// TestSurvivesSecrets: a password in the host or the environment is neither printed nor saved, also
// when the server goes away.
func TestSurvivesSecrets(t *testing.T) {
	race.SkipRepeated(t)
	const secret = "hunter2-hunter2"
	out := t.TempDir()
	server, _ := sweeptest.Simulated(t, out, "")
	var mu sync.Mutex
	var sent []string
	generate := server.Answers["/api/generate"]
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		if r.Path != "/api/generate" {
			return nil
		}
		return func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			mu.Lock()
			sent = append(sent, user+" "+password)
			mu.Unlock()
			generate(w, r)
		}
	})
	config := sweeptest.WriteConfig(t, "model: tiny\nserver_wait: 1s\nhost: http://mallory:"+secret+"@"+server.URL.Host+"\n"+manyCells)
	t.Setenv("OLLAMA_API_KEY", secret)
	p := sweeptest.Start(t, "-config", config, "-out", out)
	p.Await(t, "# 3/")
	server.Stop()
	printed, code := p.Wait()
	assert.Equal(t, 1, code)
	mu.Lock()
	assert.Equal(t, []string{"mallory " + secret}, slices.Compact(sent), "the server gets them")
	mu.Unlock()
	assert.Contains(t, printed, "stayed away for 1s")
	assert.NotContains(t, printed, secret)
	assert.NotContains(t, printed, "mallory")
	require.NoError(t, filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		assert.NotContains(t, string(text), secret, path)
		assert.NotContains(t, string(text), "mallory", path)
		return err
	}))
}

// TestSurvivesHostileNames: model names and error texts of a server are only data: on the terminal,
// in files and for benchstat.
func TestSurvivesHostileNames(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	const hostile = `=HYPERLINK(\"http://x\")\u001b[2J\u001b]0;owned\u0007<script>alert(1)</script>../../../etc\nBenchmarkSweep/ctx=9/batch=9 1 9 tokens/s`
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	loaded := server.Answers["/api/ps"]
	second := sweeptest.PromptCounter{Cell: sweeptest.SmallPlan[1]}
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		switch {
		case r.Path == "/api/ps":
			return func(w http.ResponseWriter, r *http.Request) {
				var b strings.Builder
				loaded(&intoBuilder{ResponseWriter: w, b: &b}, r)
				fmt.Fprint(w, strings.Replace(b.String(), `{"models":[{`, `{"models":[{"name":"`+hostile+`","model":"x","size":1,"digest":"x"},{`, 1))
			}
		case second.Next(r) && second.N == 2:
			return ollamatest.ReplyStatus(http.StatusInternalServerError, `{"error":"`+hostile+`"}`)
		}
		return nil
	})
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	failed := 0
	for _, r := range sweeptest.Load(t, out).Results {
		if r.Failed() {
			failed++
			assert.Contains(t, r.Detail, "HYPERLINK", "the server's error text is saved")
		}
	}
	assert.Equal(t, 1, failed)
	files := map[string]string{"standard output": printed}
	for _, name := range []string{checkpoint.FileName, "results_table.csv", "results_stats.csv", "bench.txt"} {
		text, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		files[name] = string(text)
	}
	for name, text := range files {
		assert.NotContains(t, text, "\x1b", name)
		assert.NotContains(t, text, "\x07", name)
		assert.NotContains(t, text, "\nBenchmarkSweep/ctx=9", name)
		for cell := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
			if strings.HasSuffix(name, ".csv") {
				assert.False(t, strings.HasPrefix(strings.Trim(cell, `"`), "="), "%s: %s", name, cell)
			}
		}
	}
}

// intoBuilder writes an answer's body to a builder.
type intoBuilder struct {
	http.ResponseWriter
	b *strings.Builder
}

func (w *intoBuilder) WriteHeader(int)             {}
func (w *intoBuilder) Write(p []byte) (int, error) { return w.b.Write(p) }

// TestSurvivesOnLoopback: the engine and the processes that it starts listen only on loopback, and only
// the user can read their files.
func TestSurvivesOnLoopback(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out := t.TempDir()
	p := sweeptest.Start(t, "-config", sweeptest.WriteConfig(t, "engine: embedded\n"+sweeptest.RealGrid), "-out", out)
	p.Await(t, "# 1/6 ")
	folders, err := filepath.Glob(filepath.Join(out, ".ollama-sweep-engine-*"))
	require.NoError(t, err)
	require.Len(t, folders, 1)
	info, err := os.Stat(folders[0])
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	listening := listeners(t, descendants(t, p.Command.Process.Pid))
	p.Signal(t, syscall.SIGTERM)
	if len(listening) == 0 {
		t.Skip("/proc does not list listening sockets here")
	}
	for _, ip := range listening {
		assert.True(t, ip.IsLoopback(), "%v", ip)
	}
}

// descendants returns a process and, where /proc lists them, its children, grandchildren and so on.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	all := []int{pid}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		for _, field := range strings.Fields(string(text)) {
			var child int
			fmt.Sscan(field, &child)
			all = append(all, descendants(t, child)...)
		}
	}
	return all
}

// listeners returns the addresses on which these processes listen, from
// /proc/net/tcp:
//
//	sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//	 0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 55861 …
func listeners(t *testing.T, pids []int) []net.IP {
	t.Helper()
	ours := make(map[string]bool)
	for _, pid := range pids {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		require.NoError(t, err)
		for _, file := range files {
			if socket, err := os.Readlink(file); err == nil {
				ours[socket] = true
			}
		}
	}
	var found []net.IP
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != "0A" || !ours["socket:["+fields[9]+"]"] {
				continue
			}
			address, _, _ := strings.Cut(fields[1], ":")
			bytes, err := hex.DecodeString(address)
			require.NoError(t, err)
			for i := 0; i < len(bytes); i += 4 { // words in the machine's byte order
				slices.Reverse(bytes[i : i+4])
			}
			found = append(found, net.IP(bytes))
		}
	}
	return found
}

// TestSurvivesAnotherSweep: of two sweeps in one folder the second is refused; of two on one server
// the second reports the first.
func TestSurvivesAnotherSweep(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := t.TempDir()
	template := filepath.Join(t.TempDir(), "template")
	require.NoError(t, os.WriteFile(template, []byte("FROM tiny\n"), 0o644))
	_, args := sweeptest.Simulated(t, out, "modelfile: "+template+"\n"+manyCells)
	first := sweeptest.Start(t, args...)
	first.Await(t, "# 1/")

	printed, code := sweeptest.Start(t, args...).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "another sweep is using "+out+": wait for it, or use another folder with -out")

	args[3] = t.TempDir()
	second := sweeptest.Start(t, args...)
	second.Await(t, "# warning: other models: another sweep uses this server (ollama-sweep-tmp-")
	second.Await(t, "# 1/")
	second.Signal(t, syscall.SIGINT)
	assert.Contains(t, sweeptest.Load(t, args[3]).Sweep.Warnings[0], "other models: another sweep uses this server (ollama-sweep-tmp-")
	printed, code = sweeptest.Start(t, append(args, "-exclusive")...).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "wait until it has ended, or leave -exclusive out")

	first.Signal(t, syscall.SIGKILL) // which releases its lock
	p := sweeptest.Start(t, append(args, "-out", out)...)
	p.Await(t, "# deleted ollama-sweep-tmp-")
	p.Await(t, "BenchmarkSweep/")
	p.Signal(t, syscall.SIGINT)
}
