package report

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

// wide is a full grid of 47 × 17 cells, some of them failed, one with an unknown
// failure class.
func wide() *checkpoint.Checkpoint {
	cp := checkpoints.Planned(checkpoints.Steps(8192, 2048, 47), checkpoints.Steps(32, 128, 17))
	for i, c := range cp.Plan() {
		switch {
		case i == 5:
			checkpoints.AddFailed(cp, c.Ctx, c.Batch, measurement.Class("model: lost\nall hope"))
		case i%9 == 4:
			checkpoints.AddFailed(cp, c.Ctx, c.Batch, measurement.Timeout)
		default:
			checkpoints.Add(cp, c.Ctx, c.Batch, 1000+float64(i))
		}
	}
	return cp
}

func TestPrint(t *testing.T) {
	for extension, full := range map[string]bool{".txt": false, ".full.txt": true} {
		goldens(t, extension, func(w io.Writer, cp *checkpoint.Checkpoint) error {
			return Print(w, cp, Options{Dir: "results/my", Full: full})
		})
	}
}

func TestPrintKeepsLinesShort(t *testing.T) {
	cp := wide()
	var b strings.Builder
	require.NoError(t, Print(&b, cp, Options{Full: true}))
	for line := range strings.Lines(b.String()) {
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), lineWidth)
	}
	for _, column := range []string{" 8192", " 102400"} {
		assert.Equal(t, 1, strings.Count(b.String(), column+"\n")+strings.Count(b.String(), column+" "), column)
	}
	assert.Contains(t, b.String(), "FAIL   model: lost all hope")
}

func TestPrintIsNoBenchmarkText(t *testing.T) {
	cp := wide()
	var b strings.Builder
	require.NoError(t, Print(&b, cp, Options{}))
	require.NoError(t, WriteBench(&b, checkpoints.Planned(nil, nil)))
	b.WriteString("BenchmarkLast 1 1 tokens/s\n")
	r := benchfmt.NewReader(strings.NewReader(b.String()), "print")
	require.True(t, r.Scan())
	res, ok := r.Result().(*benchfmt.Result)
	require.True(t, ok, "%v", r.Result())
	assert.Equal(t, "Last", string(res.Name))
	assert.Empty(t, res.Config)
	assert.False(t, r.Scan())
}

func TestPrintToFullDisk(t *testing.T) {
	for _, room := range []fullDisk{0, 480, 500} {
		disk := room
		assert.ErrorIs(t, Print(&disk, checkpoints.Mixed(), Options{}), errFull)
	}
}
