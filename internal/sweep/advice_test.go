package sweep

import (
	"flag"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
)

func TestLineReplacesFlags(t *testing.T) {
	h := checkpoint.Header{Command: "-config 'my file.yaml' -repeat=6 -baseline=true"}
	assert.Equal(t, "go test -run Sweep -timeout 0 -config 'my file.yaml' -baseline=true -repeat=7 -out=there", CommandLine(h, "-repeat=7", "-out=there"))
	assert.Equal(t, "go test -run Sweep -timeout 0 -config FILE -baseline", CommandLine(checkpoint.Header{}, "-baseline"))
	assert.Equal(t, "go test -run Sweep -timeout 0 -config 'my file.yaml' -repeat=6 -baseline", CommandLine(h, "-baseline"))
}

// TestLineOfOddNames: a command that is printed for pasting stays one command, whatever the names of
// its files.
func TestLineOfOddNames(t *testing.T) {
	for _, name := range []string{"plain", "two words", "it's", "$(id)", "-rf", "a\nb", "\x1b[2J", "ü ß"} {
		if name == "" {
			continue // no file
		}
		var o config.Overrides
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		o.Register(flags)
		require.NoError(t, flags.Parse([]string{"-modelfile", name + " -repeat=9", "-repeat=6"}))
		cp := &checkpoint.Checkpoint{Sweep: checkpoint.Header{Command: o.Command(name)}}
		line := CommandLine(cp.Sweep, "-repeat=7", "-out="+shell.Quoted(name))
		cfg := name
		if strings.HasPrefix(name, "-") {
			cfg = "./" + name
		}
		words, err := shell.Words(line)
		require.NoError(t, err)
		assert.Equal(t, []string{"go", "test", "-run", "Sweep", "-timeout", "0", "-config", cfg, "-modelfile=" + name + " -repeat=9", "-repeat=7", "-out=" + name}, words)
		out, err := exec.CommandContext(t.Context(), "bash", "-c", "go() { printf '<%s>' \"$@\"; }; "+line).CombinedOutput()
		require.NoError(t, err, line)
		assert.Equal(t, "<"+strings.Join(words[1:], "><")+">", string(out))
		assert.Equal(t, config.OutOf(cfg), DefaultOut(cp))
	}
}

// TestLineOfAFileFromElsewhere: only flags of a sweep are taken from a checkpoint, since some flags of
// go test run commands.
func TestLineOfAFileFromElsewhere(t *testing.T) {
	for command, want := range map[string]string{
		"-config my.yaml; rm -rf ~":                     "-config 'my.yaml;'",
		"-config $(id) -repeat=$(id)":                   "-config '$(id)' -repeat='$(id)'",
		"-config my.yaml -exec=/tmp/x -toolexec=x -c=x": "-config my.yaml",
		"-config my.yaml -exec /tmp/x --repeat=6":       "-config my.yaml",
		"-exec=/tmp/x -config my.yaml":                  "-config FILE",
		"-config 'my.yaml":                              "-config FILE",
		"-config my.yaml\n-repeat=6\nid":                "-config my.yaml -repeat=6",
		"-config":                                       "-config FILE",
		"-config -exec=/tmp/x":                          "-config ./-exec=/tmp/x",
	} {
		assert.Equal(t, "go test -run Sweep -timeout 0 "+want, CommandLine(checkpoint.Header{Command: command}), command)
	}
}
