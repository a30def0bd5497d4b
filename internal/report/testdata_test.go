package report

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
)

// goldens compares the output of write for several checkpoints with files in testdata.
func goldens(t *testing.T, extension string, write func(io.Writer, *checkpoint.Checkpoint) error) {
	t.Helper()
	for name, cp := range map[string]*checkpoint.Checkpoint{
		"mixed":            checkpoints.Mixed(),
		"older_tool":       olderTool(t),
		"nothing_measured": checkpoints.Planned([]int{512, 1024}, []int{256, 1024}),
		"no_cells":         checkpoints.Planned(nil, nil),
		"searched":         checkpoints.Searched(),
		"pruned":           checkpoints.Pruned(),
		"settings":         checkpoints.Settings(),
		"many_settings":    checkpoints.ManySettings(),
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			require.NoError(t, write(&b, cp))
			golden.Equal(t, name+extension, b.String())
		})
	}
}

// olderTool is a sweep that an older tool recorded on a real Ollama.
func olderTool(t *testing.T) *checkpoint.Checkpoint {
	t.Helper()
	cp, err := checkpoint.Load(filepath.Join("testdata", "older_tool.json"))
	require.NoError(t, err)
	return cp
}

var errFull = errors.New("no space left on device")

// fullDisk is a writer that fails after the given number of bytes.
type fullDisk int

func (d *fullDisk) Write(p []byte) (int, error) {
	if *d -= fullDisk(len(p)); *d < 0 {
		return 0, errFull
	}
	return len(p), nil
}
