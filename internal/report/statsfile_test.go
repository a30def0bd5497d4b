package report

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/golden"
)

// decided is a sweep with six samples per cell and all optional data.
func decided() *checkpoint.Checkpoint {
	cp := planned([]int{4096, 8192}, []int{128, 256, 512})
	start := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	cp.Sweep.Started = start
	cp.Sweep.Warnings = []string{"other models: GPU 0 is busy before the sweep starts (87 %, 70000 MiB in use)"}
	for i, c := range cp.Plan() {
		base := 1000.0
		if c.Batch == 256 {
			base = 1250
		}
		r := add(cp, c.Ctx, c.Batch, base, base+1, base+2, base-1, base-2, base)
		r.Timestamp = start.Add(time.Duration(i) * time.Hour)
		r.Settings = checkpoint.SettingsVerified
		r.Size, r.SizeVRAM = 18_000_000_000, 18_000_000_000
	}
	spilled := &cp.Results[5]
	spilled.SizeVRAM = 9_000_000_000
	spilled.Retries = 1
	spilled.Warnings = []string{"spill: 9.0 of 18.0 GB of the model are in GPU memory", "memory given back: loaded at try 2"}
	cp.Results[4].Warnings = []string{"spill: 17.0 of 18.0 GB of the model are in GPU memory"}
	again := func(purpose checkpoint.Purpose, batch int, at time.Duration, rate float64) {
		one := planned(nil, nil)
		r := add(one, 8192, batch, rate)
		r.Timestamp = start.Add(at)
		cp.Remeasured = append(cp.Remeasured, checkpoint.Remeasured{Purpose: purpose, Result: *r})
	}
	for i := range 6 {
		noise := float64(i%3) - 1
		again(checkpoint.Confirm, 256, 7*time.Hour, 1250+noise)
		again(checkpoint.Confirm, 128, 7*time.Hour, 1000+noise)
		again(checkpoint.Baseline, 256, 8*time.Hour, 1250+noise)
		again(checkpoint.Baseline, 0, 8*time.Hour, 1100+noise)
		again(checkpoint.Reference, 128, time.Duration(i)*time.Hour, 1000-20*float64(i)+noise)
	}
	return cp
}

func TestWriteStats(t *testing.T) {
	goldens(t, ".stats.csv", WriteStats)
	var b strings.Builder
	require.NoError(t, WriteStats(&b, decided()))
	golden.Equal(t, "decided.stats.csv", b.String())
	for _, room := range []fullDisk{0, 200} {
		disk := room
		assert.ErrorIs(t, WriteStats(&disk, decided()), errFull)
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
	cp := decided()
	cp.Results[4].Warnings = []string{"=1+1"}
	var b strings.Builder
	require.NoError(t, WriteStats(&b, cp))
	assert.Contains(t, b.String(), ",'=1+1,")
}

func TestPrintVerdict(t *testing.T) {
	var b strings.Builder
	require.NoError(t, Print(&b, decided(), Options{Full: true}))
	golden.Equal(t, "decided.full.txt", b.String())
	assert.Contains(t, b.String(), "Verdict: recommended: num_ctx=8192, num_batch=256\n")
	b.Reset()
	require.NoError(t, Print(&b, decided(), Options{}))
	golden.Equal(t, "decided.txt", b.String())
	disk := fullDisk(600)
	assert.ErrorIs(t, Print(&disk, decided(), Options{}), errFull)
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
