package merge

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// TestMissingCommandsCanBePasted: a shell parses the printed commands correctly, also where the names
// of folders and config have special characters.
func TestMissingCommandsCanBePasted(t *testing.T) {
	for _, name := range []string{"my sweep", "it's", "$(id)", "`id`", "a;id", "~", "a\nb", "\"", "日本", "\x1b[2J"} {
		t.Run(name, func(t *testing.T) {
			part := shard(1, 2)
			part.Sweep.Command = new(config.Overrides).Command(name + ".yaml")
			part.Results = part.Results[1:]
			dir := save(t, map[string]*checkpoint.Checkpoint{name + "-1of2": part})
			m, err := Merge([]string{filepath.Join(dir, name+"-1of2")})
			require.NoError(t, err)
			var commands []string
			for line := range strings.Lines(text(t, m)) {
				if command, ok := strings.CutPrefix(line, "  go test "); ok {
					commands = append(commands, command)
				}
			}
			require.Len(t, commands, 2)
			for i, command := range commands {
				out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf '<%s>' "+command).CombinedOutput()
				require.NoError(t, err)
				suffix := []string{"1", "2"}[i] + "of2"
				assert.Equal(t, "<-run><Sweep><-timeout><0><-config><"+name+".yaml><-shard="+strings.Replace(suffix, "of", "/", 1)+"><-out="+filepath.Join(dir, name+"-"+suffix)+">", string(out))
			}
		})
	}
}
