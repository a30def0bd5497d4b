package survives

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// command simulates `ollama` in a shell, with a token for each byte: from the tenth to the LAST,
// `ollama run` has the fault; otherwise it prints a summary in the real format.
const command = `#!/bin/sh
case $1 in
--version) echo "ollama version is 0.10.1" ;;
run)
	echo x >>COUNT
	calls=$(wc -l <COUNT)
	if [ $calls -ge 10 ] && [ $calls -le LAST ]; then
		FAULT
	fi
	tokens=$(wc -c)
	sleep 0.1
	printf 'total duration:       %dµs\nload duration:        1ms\nprompt eval count:    %d token(s)\nprompt eval duration: %dµs\neval count:           2 token(s)\neval duration:        1ms\n' $((40 * tokens + 2000)) $tokens $((40 * tokens)) >&2 ;;
esac
`

// TestSurvivesCommandFaults makes the ollama command fail in the second cell, after the load and
// the sizing of the prompt in the first.
func TestSurvivesCommandFaults(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	for _, test := range []struct {
		name, fault string
		times       int
		class       measurement.Class
		detail      string
	}{
		{"no summary", "exit 0", 4, measurement.NoFigures, "no prompt eval count and duration in the summary: \"\", for each of 4 prompts"},
		{"no summary three times", "exit 0", 3, "", ""},
		{"no error text", "exit 3", 1, measurement.NoFigures, "ollama run: exit status 3, without an error message"},
		{"out of memory", `echo "Error: 500 Internal Server Error: llama runner process has terminated: cudaMalloc failed: out of memory" >&2; exit 1`, 1, measurement.OutOfGPUMemory, ""},
		{"hanging", "sleep 60", 1, measurement.Timeout, "not done within 3s (cell_timeout)"},
		{"hanging and ignoring signals", "trap '' INT TERM; sleep 60", 1, measurement.Timeout, "not done within 3s (cell_timeout)"},
		{"killed", "kill -KILL $$", 1, measurement.OutOfSystemMemory, ""},
		{"megabytes", "yes '⠙ ' | head -c 30000000 >&2", 1, "", ""},
		{"megabytes from the model", "yes 'prompt eval count: 1 token(s)' | head -c 30000000", 1, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir, out := t.TempDir(), t.TempDir()
			file := filepath.Join(dir, "ollama")
			text := strings.NewReplacer("COUNT", filepath.Join(dir, "count"), "FAULT", test.fault, "LAST", strconv.Itoa(9+test.times)).Replace(command)
			script.Write(t, file, text)
			timeout := "1m" // a busy machine may take a while to read megabytes
			if test.class == measurement.Timeout {
				timeout = "3s"
			}
			_, args := sweeptest.Simulated(t, out, "runner: cli\ncell_timeout: "+timeout+"\nollama: "+file+"\nprompt: {fill: 0.5}\nnum_ctx: [2048, 4096]\nnum_batch: [64, 128]\nrepeat: 2\nconfirm: 0\nbaseline: false\n")
			begun := time.Now()
			p := sweeptest.Start(t, args...)
			p.WatchMemory()
			printed, code := p.Wait()
			require.Zero(t, code, printed)
			assert.Less(t, time.Since(begun), 30*time.Second)
			requireLittleMemory(t, p)
			cp := sweeptest.Load(t, out)
			require.Len(t, cp.Results, 4)
			failed := 0
			for _, r := range cp.Results {
				if !r.Failed() {
					continue
				}
				failed++
				assert.Equal(t, test.class, *r.Error)
				assert.Contains(t, r.Detail, test.detail)
			}
			switch test.class {
			case measurement.OutOfGPUMemory, measurement.OutOfSystemMemory:
				assert.Zero(t, failed, "the second try works")
				assert.Contains(t, printed, "waiting for the memory to be given back")
			case "":
				assert.Zero(t, failed, printed)
			default:
				assert.Equal(t, 1, failed, printed)
			}
			requireNoScratch(t, out)
		})
	}

	printed, code := sweeptest.Start(t, "-config", sweeptest.WriteConfig(t, "model: tiny\n"+sweeptest.SmallGrid), "-runner", "cli", "-ollama", "/nowhere/ollama", "-out", t.TempDir(), "-host", simulatedHost(t)).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "name its file with -ollama FILE, or use -runner api, which needs no command")
	printed, code = sweeptest.Start(t, "-config", sweeptest.WriteConfig(t, "model: tiny\n"+sweeptest.SmallGrid), "-runner", "cli", "-ollama", "/bin/true", "-out", t.TempDir(), "-host", simulatedHost(t)).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, `/bin/true is not the ollama command: --version prints "`)
}

func simulatedHost(t *testing.T) string {
	t.Helper()
	server, _ := sweeptest.Simulated(t, "", "")
	return server.URL.String()
}
