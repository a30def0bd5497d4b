package survives

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// manyCells is a sweep whose checkpoint grows to 250 kB.
const manyCells = "prompt: {tokens: 300}\nnum_ctx: {start: 1024, end: 2048, step: 16}\nnum_batch: {start: 64, end: 512, step: 64}\nrepeat: 1\nbaseline: false\n"

// requireStoppedByTheDisk checks a sweep that stopped because it could not save.
func requireStoppedByTheDisk(t *testing.T, server *ollamatest.Server, out, printed string, code int, reason string) {
	t.Helper()
	assert.Equal(t, 1, code)
	assert.Regexp(t, `saving (checkpoint )?"`+out+`/[^"]+": .*`+reason, printed, "the message names file and reason")
	cp := sweeptest.Load(t, out)
	assert.NotEmpty(t, cp.Results)
	sweeptest.RequireReported(t, cp, sweeptest.BenchLines(printed))
	hidden, err := filepath.Glob(filepath.Join(out, "."+checkpoint.FileName+"*"))
	require.NoError(t, err)
	assert.Empty(t, hidden, "unfinished saves")
	samples := 0
	for _, r := range cp.Results {
		samples += len(r.Samples)
	}
	asked := 0
	for _, r := range server.Requests() {
		if strings.Contains(r, `"num_ctx"`) {
			asked++
		}
	}
	refused := strings.Count(printed, "a sample does not count") // on a busy machine
	assert.LessOrEqual(t, asked, 2*samples+8+refused, "more was measured than a load and a prompt per sample, the sizing, and the refused samples")
}

// TestSurvivesAFileSizeLimit runs a sweep under `ulimit -f`.
func TestSurvivesAFileSizeLimit(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, manyCells)
	limited := func(blocks string) (string, int) {
		cmd := exec.Command("sh", append([]string{"-c", `ulimit -f "$1"; shift; exec "$@"`, "sh", blocks, sweeptest.Binary(), "-test.run=^TestSweep$", "-test.timeout=0"}, args...)...)
		cmd.Dir = sweeptest.Root
		printed, _ := cmd.CombinedOutput()
		return string(printed), cmd.ProcessState.ExitCode()
	}
	printed, code := limited("40") // blocks of 512 bytes, or of 1024 in some shells
	requireStoppedByTheDisk(t, server, out, printed, code, "file too large")

	before := sweeptest.Load(t, out)
	server.ClearRequests()
	printed, code = limited("4")
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "file too large; what was saved before is intact")
	assert.NotContains(t, strings.Join(server.Requests(), "\n"), `"num_ctx"`, "the sweep stops before the first load")
	assert.Equal(t, before, sweeptest.Load(t, out))
}

// TestSurvivesAReadOnlyFolder makes the out folder read-only while a sweep runs.
func TestSurvivesAReadOnlyFolder(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	base, err := os.MkdirTemp("", "ollama-sweep-readonly-") // which other users can enter, unlike t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	require.NoError(t, os.Chmod(base, 0o755))
	out := filepath.Join(base, "out")
	require.NoError(t, os.Mkdir(out, 0o755))
	server, args := sweeptest.Simulated(t, out, manyCells)
	config, err := os.ReadFile(args[1])
	require.NoError(t, err)
	args[1] = filepath.Join(base, "my.yaml")
	require.NoError(t, os.WriteFile(args[1], config, 0o644))

	program := filepath.Join(base, "sweep.test")
	require.NoError(t, os.Link(sweeptest.Binary(), program))
	run := func() *sweeptest.Process {
		return sweeptest.StartProgram(t, program, func(cmd *exec.Cmd) {
			cmd.Dir = base
			if os.Geteuid() == 0 { // root can write to read-only folders
				const nobody = 65534
				require.NoError(t, os.Chown(out, nobody, nobody))
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
		}, args...)
	}
	p := run()
	p.Await(t, "# 3/")
	require.NoError(t, os.Chmod(out, 0o555))
	printed, code := p.Wait()
	requireStoppedByTheDisk(t, server, out, printed, code, "permission denied")

	server.ClearRequests()
	printed, code = run().Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "permission denied")
	assert.NotContains(t, strings.Join(server.Requests(), "\n"), `"num_ctx"`, "the sweep stops before the first load")
	require.NoError(t, os.Chmod(out, 0o755))
}

// TestSurvivesARemovedFolder removes the out folder while a sweep runs: before its next save, and
// in the middle of a prompt that is then interrupted. In both cases all reported samples are on disk
// at the end. If they can't be written, no message claims that they are.
func TestSurvivesARemovedFolder(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	_, args := sweeptest.Simulated(t, out, manyCells)
	p := sweeptest.Start(t, args...)
	p.Await(t, "# 3/")
	require.NoError(t, os.Rename(out, out+"-moved"))
	printed, code := p.Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "its folder is gone: ")
	assert.Contains(t, printed, "# warning: checkpoint "+filepath.Join(out, checkpoint.FileName)+" was removed or renamed while the sweep ran: it is written again, with all ")
	assert.NotContains(t, printed, "what was saved before is intact")
	sweeptest.RequireReported(t, sweeptest.Load(t, out), sweeptest.BenchLines(printed))

	// interrupted returns the output of a sweep that is interrupted in the load of its third cell,
	// after remove.
	interrupted := func(out string, remove func()) string {
		server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
		hanging, third := make(chan struct{}), sweeptest.PromptCounter{Cell: sweeptest.SmallPlan[2]}
		server.Inject(func(r ollamatest.Request) http.HandlerFunc {
			if !third.Next(r) {
				return nil
			}
			if third.N == 1 {
				close(hanging)
			}
			return ollamatest.Hang("")
		})
		p := sweeptest.Start(t, args...)
		p.Reach(t, hanging)
		remove()
		p.Signal(t, syscall.SIGINT)
		printed, code := p.Wait()
		assert.Equal(t, 1, code)
		return printed
	}
	out = filepath.Join(t.TempDir(), "out")
	printed = interrupted(out, func() { require.NoError(t, os.RemoveAll(out)) })
	assert.Contains(t, printed, "while the sweep ran: it is written again, with all ")
	assert.Contains(t, printed, "# everything is saved and cleaned up; ")
	sweeptest.RequireReported(t, sweeptest.Load(t, out), sweeptest.BenchLines(printed))

	out = filepath.Join(t.TempDir(), "out")
	printed = interrupted(out, func() {
		require.NoError(t, os.RemoveAll(out))
		require.NoError(t, os.WriteFile(out, nil, 0o644))
	})
	assert.Regexp(t, `# \d cells are lost: their checkpoint was removed or renamed while the sweep ran, and can't be written again: `, printed)
	assert.Contains(t, printed, "# Best: ", "the output is all that remains")
	for _, claim := range []string{"everything is saved", "files in ", "to resume"} {
		assert.NotContains(t, printed, claim)
	}
}

// TestSurvivesAFullDisk runs a sweep on a disk of 100 kB in its own mount namespace.
func TestSurvivesAFullDisk(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	if err := exec.Command("unshare", "-Urm", "true").Run(); err != nil {
		t.Skip("mounting a disk is not possible here: unshare: ", err)
	}
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, manyCells)
	kept := t.TempDir()
	cmd := exec.Command("unshare", append([]string{"-Urm", "sh", "-c",
		`kept=$1; out=$2; shift 2; mount -t tmpfs -o size=100k none "$out" || exit 99; "$@"; code=$?; cp -a "$out/." "$kept"; exit $code`,
		"sh", kept, out, sweeptest.Binary(), "-test.run=^TestSweep$", "-test.timeout=0"}, args...)...)
	cmd.Dir = sweeptest.Root
	text, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() == 99 {
		t.Skip("mounting a disk is not possible here: ", string(text))
	}
	printed := strings.ReplaceAll(string(text), out, kept)
	requireStoppedByTheDisk(t, server, kept, printed, cmd.ProcessState.ExitCode(), "no space left on device")
}
