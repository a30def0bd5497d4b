package report

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
)

func TestBenchLogFollowsTheCheckpoint(t *testing.T) {
	dir := t.TempDir()
	cp := &checkpoint.Checkpoint{Sweep: checkpoint.Header{Model: "m"}}
	add := func(batch int) (*checkpoint.Result, measurement.Sample) {
		rate := 1000.0
		s := measurement.Sample{PromptEvalCount: 1000, PromptEvalDuration: time.Second}
		cp.Results = append(cp.Results, checkpoint.Result{NumCtx: 4096, NumBatch: batch, PromptEvalRate: &rate, Samples: []measurement.Sample{s}})
		return &cp.Results[len(cp.Results)-1], s
	}
	requireCurrent := func() {
		t.Helper()
		var want bytes.Buffer
		require.NoError(t, WriteBench(&want, cp))
		got, err := os.ReadFile(filepath.Join(dir, BenchFile))
		require.NoError(t, err)
		require.Equal(t, want.String(), string(got))
	}

	add(1)
	b, err := OpenBenchLog(dir, cp)
	require.NoError(t, err)
	requireCurrent()
	require.NoError(t, b.Sample(add(2)))
	requireCurrent()
	_, err = Write(dir, cp) // as another process does
	require.NoError(t, err)
	require.NoError(t, b.Sample(add(3)))
	requireCurrent()
	require.NoError(t, os.Remove(filepath.Join(dir, BenchFile)))
	require.NoError(t, b.Sample(add(4)))
	requireCurrent()
	rate := 2000.0
	again := &cp.Results[1]
	again.PromptEvalRate = &rate
	again.Samples = []measurement.Sample{{PromptEvalCount: 1000, PromptEvalDuration: time.Second / 2}}
	require.NoError(t, b.Sample(again, again.Samples[0]))
	requireCurrent() // without the replaced sample
	require.NoError(t, b.Close())
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(dir, outdir.RecordFile)}, left)

	_, err = OpenBenchLog(filepath.Join(dir, "nowhere"), cp)
	assert.ErrorContains(t, err, `nowhere/bench.txt": `)
}

// TestBenchLogBlocked checks that each sample fails while a folder is in the file's place,
// and that the file has all samples once the folder is gone.
func TestBenchLogBlocked(t *testing.T) {
	dir := t.TempDir()
	cp := &checkpoint.Checkpoint{Sweep: checkpoint.Header{Model: "m"}}
	b, err := OpenBenchLog(dir, cp)
	require.NoError(t, err)
	path := filepath.Join(dir, BenchFile)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o755))
	rate := 1000.0
	s := measurement.Sample{PromptEvalCount: 1000, PromptEvalDuration: time.Second}
	for batch := range 3 {
		if batch == 2 {
			require.NoError(t, os.Remove(path))
		}
		cp.Results = append(cp.Results, checkpoint.Result{NumCtx: 4096, NumBatch: batch + 1, PromptEvalRate: &rate, Samples: []measurement.Sample{s}})
		err := b.Sample(&cp.Results[batch], s)
		if batch < 2 {
			require.ErrorContains(t, err, "it exists and was not made by this program (a folder)")
			continue
		}
		require.NoError(t, err)
	}
	require.NoError(t, b.Close())
	var want bytes.Buffer
	require.NoError(t, WriteBench(&want, cp))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, want.String(), string(got))
}
