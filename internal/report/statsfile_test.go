package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
)

func TestWriteStats(t *testing.T) {
	goldens(t, ".stats.csv", writeStats)
	var b strings.Builder
	require.NoError(t, writeStats(&b, checkpoints.Decided()))
	golden.Equal(t, "decided.stats.csv", b.String())
	for _, room := range []fullDisk{0, 200} {
		disk := room
		assert.ErrorIs(t, writeStats(&disk, checkpoints.Decided()), errFull)
	}
}

// TestCSVText checks that spreadsheets don't interpret texts of a server as formulas.
func TestCSVText(t *testing.T) {
	for text, want := range map[string]string{
		"CUDA OOM":               "CUDA OOM",
		`=HYPERLINK("http://x")`: `'=HYPERLINK("http://x")`,
		"+1":                     "'+1",
		"-1+cmd|' /C calc'!A0":   "'-1+cmd|' /C calc'!A0",
		"@SUM(A1)":               "'@SUM(A1)",
		"\t=1":                   "'=1",
		"\r\n=1":                 "'=1",
		"":                       "",
	} {
		assert.Equal(t, want, csvText(text))
	}
	cp := checkpoints.Decided()
	cp.Results[4].Warnings = []string{"=1+1"}
	var b strings.Builder
	require.NoError(t, writeStats(&b, cp))
	assert.Contains(t, b.String(), ",'=1+1,")
}

func TestPrintVerdict(t *testing.T) {
	var b strings.Builder
	require.NoError(t, Print(&b, checkpoints.Decided(), Options{Full: true}))
	golden.Equal(t, "decided.full.txt", b.String())
	assert.Contains(t, b.String(), "Verdict: recommended: num_ctx=8192, num_batch=256\n")
	b.Reset()
	require.NoError(t, Print(&b, checkpoints.Decided(), Options{}))
	golden.Equal(t, "decided.txt", b.String())
	disk := fullDisk(600)
	assert.ErrorIs(t, Print(&disk, checkpoints.Decided(), Options{}), errFull)
}

func TestWrappedParagraph(t *testing.T) {
	var b strings.Builder
	paragraph(&b, "  ", strings.Repeat("word ", 50))
	for line := range strings.Lines(b.String()) {
		assert.LessOrEqual(t, len(line), lineWidth+1)
		assert.True(t, strings.HasPrefix(line, "  word") || strings.HasPrefix(line, "      word"), line)
	}
	assert.Equal(t, 50, strings.Count(b.String(), "word"))
}
