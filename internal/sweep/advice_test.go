package sweep

import (
	"flag"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLineReplacesFlags(t *testing.T) {
	h := Header{Command: "-config 'my file.yaml' -repeat=6 -baseline=true"}
	assert.Equal(t, "go test -run Sweep -timeout 0 -config 'my file.yaml' -baseline=true -repeat=7 -out=there", h.Line("-repeat=7", "-out=there"))
	assert.Equal(t, "go test -run Sweep -timeout 0 -config FILE -baseline", Header{}.Line("-baseline"))
	assert.Equal(t, "go test -run Sweep -timeout 0 -config 'my file.yaml' -repeat=6 -baseline", h.Line("-baseline"))
}

// TestLineOfOddNames: a command that is printed for pasting is one, whatever its files are called.
func TestLineOfOddNames(t *testing.T) {
	for _, name := range oddNames {
		if name == "" {
			continue // no file
		}
		var o Overrides
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		o.Register(flags)
		require.NoError(t, flags.Parse([]string{"-modelfile", name + " -repeat=9", "-repeat=6"}))
		cp := &Checkpoint{Sweep: Header{Command: o.Command(name)}}
		line := cp.Sweep.Line("-repeat=7", "-out="+Quoted(name))
		config := name
		if strings.HasPrefix(name, "-") {
			config = "./" + name
		}
		words, err := Words(line)
		require.NoError(t, err)
		assert.Equal(t, []string{"go", "test", "-run", "Sweep", "-timeout", "0", "-config", config, "-modelfile=" + name + " -repeat=9", "-repeat=7", "-out=" + name}, words)
		out, err := exec.CommandContext(t.Context(), "bash", "-c", "go() { printf '<%s>' \"$@\"; }; "+line).CombinedOutput()
		require.NoError(t, err, line)
		assert.Equal(t, "<"+strings.Join(words[1:], "><")+">", string(out))
		assert.Equal(t, outOf(config), cp.DefaultOut())
	}
}

// TestLineOfAFileFromElsewhere: what is no flag of a sweep stays out, since go test has flags that
// run commands.
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
		assert.Equal(t, "go test -run Sweep -timeout 0 "+want, Header{Command: command}.Line(), command)
	}
}
