package merge

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// BenchmarkMerge merges the checkpoints of shards of a grid, whose files have the format and
// size of real ones, and saves the result. Besides time and allocations it reports the
// memory obtained from the system.
func BenchmarkMerge(b *testing.B) {
	for _, size := range []struct{ shards, side int }{{10, 100}, {100, 316}, {1000, 1000}} {
		b.Run(fmt.Sprintf("shards=%d/cells=%d", size.shards, size.side*size.side), func(b *testing.B) {
			dir := manyShards(b, size.shards, size.side)
			b.ReportAllocs()
			var path string
			for b.Loop() {
				m, err := Merge([]string{filepath.Join(dir, "my-*")})
				require.NoError(b, err)
				require.Len(b, m.Checkpoint.Results, size.side*size.side)
				require.Empty(b, m.Lacking)
				path, err = m.Save(filepath.Join(dir, "merged"), noon)
				require.NoError(b, err)
			}
			info, err := os.Stat(path)
			require.NoError(b, err)
			b.ReportMetric(float64(info.Size()), "file-bytes")
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			b.ReportMetric(float64(stats.Sys), "system-bytes")
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N*size.side*size.side)*1e6, "µs/cell")
		})
	}
}

// manyShards writes the checkpoints of a grid with as many num_ctx as num_batch.
func manyShards(b *testing.B, shards, side int) string {
	b.Helper()
	dir := b.TempDir()
	rng := rand.New(rand.NewPCG(1, 1))
	h := header(cell.Shard{})
	h.NumCtx, h.NumBatch = nil, nil
	for i := range side {
		h.NumCtx, h.NumBatch = append(h.NumCtx, 8192+64*i), append(h.NumBatch, 8+8*i)
	}
	parts := make([]checkpoint.Checkpoint, shards)
	whole := (&checkpoint.Checkpoint{Sweep: h}).Plan()
	for i, index := range cell.Deal(whole, shards) {
		cp := &parts[index-1]
		cp.Results = append(cp.Results, drawn(rng, whole[i], noon.Add(time.Duration(i)*time.Second)))
	}
	for i := range parts {
		cp := &parts[i]
		cp.Sweep = h
		cp.Sweep.Shard = cell.Shard{Index: i + 1, Count: shards}
		for k := range 4 {
			r := drawn(rng, whole[k/2*len(whole)/2], noon.Add(time.Duration(k)*time.Hour))
			cp.Auxiliary = append(cp.Auxiliary, checkpoint.Auxiliary{Purpose: checkpoint.HostCheck, Host: fmt.Sprint("node", i), Result: r})
		}
		folder := filepath.Join(dir, fmt.Sprintf("my%s", cp.Sweep.Shard.Suffix()))
		require.NoError(b, os.Mkdir(folder, 0o755))
		require.NoError(b, cp.Save(filepath.Join(folder, checkpoint.FileName)))
	}
	return dir
}

// drawn returns a random result as a real sweep has it, with one prompt and a GPU's telemetry.
func drawn(rng *rand.Rand, c cell.Key, at time.Time) checkpoint.Result {
	d := func(ms float64) time.Duration { return time.Duration(ms * (1 + 0.01*rng.NormFloat64()) * 1e6) }
	s := measurement.Sample{
		PromptEvalCount: 7012, PromptEvalDuration: d(5680), EvalCount: 2, EvalDuration: d(40), LoadDuration: d(20), TotalDuration: d(5800), Wall: d(5810),
		GPU: []measurement.GPU{{TemperatureC: 61, SMClockMHz: 1755, PowerW: 412.5, MemoryMiB: 41210, Utilization: 100}},
	}
	warmup := s
	r := checkpoint.Result{
		NumCtx: c.Ctx, NumBatch: c.Batch, Timestamp: at, Samples: []measurement.Sample{s}, Warmup: &warmup,
		ContextLength: c.Ctx, Size: 40e9, SizeVRAM: 40e9, Settings: checkpoint.SettingsVerified,
	}
	r.SetRate()
	return r
}
