package report

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/benchstat"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

// readBench reads benchmark text with [benchfmt.Reader].
func readBench(t *testing.T, text string) []*benchfmt.Result {
	t.Helper()
	var results []*benchfmt.Result
	r := benchfmt.NewReader(strings.NewReader(text), "bench.txt")
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			results = append(results, rec.Clone())
		case *benchfmt.SyntaxError:
			assert.NoError(t, rec)
		}
	}
	require.NoError(t, r.Err())
	if len(results) > 0 {
		assert.Equal(t, 1, r.Units().GetBetter("tokens/s"))
	}
	return results
}

func TestWriteBench(t *testing.T) {
	portable := strings.NewReplacer("goos: "+runtime.GOOS, "goos: GOOS", "goarch: "+runtime.GOARCH, "goarch: GOARCH")
	goldens(t, ".bench", func(w io.Writer, cp *checkpoint.Checkpoint) error {
		var b strings.Builder
		require.NoError(t, WriteBench(&b, cp))
		_, err := portable.WriteString(w, b.String())
		return err
	})
}

func TestBenchRoundTrip(t *testing.T) {
	cp := checkpoints.Mixed()
	var b strings.Builder
	require.NoError(t, WriteBench(&b, cp))
	results := readBench(t, b.String())
	require.Len(t, results, 10, "three samples of one cell, one of each of seven cells, none of failed cells")
	for key, want := range map[string]string{
		"goos": runtime.GOOS, "goarch": runtime.GOARCH, "model": "nemotron_f", "digest": "sha256:0a8c266910",
		"quantization": "Q4_K_M", "ollama": "0.10.1", "gpu": "NVIDIA A, NVIDIA B", "driver": "570.1",
	} {
		for _, r := range results {
			assert.Equal(t, want, r.GetConfig(key))
		}
	}
	values := func(r *benchfmt.Result) map[string]float64 {
		m := make(map[string]float64)
		for _, v := range r.Values {
			m[v.Unit] = v.Value
		}
		return m
	}
	assert.Equal(t, "Sweep/ctx=512/batch=128", string(results[0].Name))
	assert.Equal(t, map[string]float64{"tokens/s": 1000}, values(results[0]))
	assert.Equal(t, "Sweep/ctx=1024/batch=896", string(results[7].Name))
	assert.Equal(t, map[string]float64{
		"tokens/s": 2000, "gen-tokens/s": 45.1002, "load-sec": 91.2346, "vram-bytes": 18_400_000_000,
	}, values(results[7]))
	assert.Equal(t, map[string]float64{"tokens/s": 1000, "vram-bytes": 0}, values(results[8]), "a model on the CPU")
}

func TestBenchConfig(t *testing.T) {
	for _, tt := range []struct {
		name  string
		model string
		want  string
	}{
		{"line end", "bad\nBenchmarkFake 1 1 tokens/s", "bad BenchmarkFake 1 1 tokens/s"},
		{"control characters", "\ta\x1b[0mb\r\n", "a [0mb"},
		{"slashes and digits", "hf.co/bartowski/x-8", "hf.co/bartowski/x-8"},
		{"only a line end", "\n", ""},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cp := checkpoints.Planned(nil, nil)
			cp.Sweep.Model = tt.model
			checkpoints.Add(cp, 1024, 128, 1000)
			var b strings.Builder
			require.NoError(t, WriteBench(&b, cp))
			results := readBench(t, b.String())
			require.Len(t, results, 1)
			assert.Equal(t, tt.want, results[0].GetConfig("model"))
			assert.Empty(t, results[0].GetConfig("gpu"))
			assert.NotContains(t, b.String(), "gpu:")
		})
	}
}

func TestBenchNamesSettings(t *testing.T) {
	cp := checkpoints.Planned(nil, nil)
	cp.Sweep.Settings = map[string]string{"OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_FLASH_ATTENTION": "false"}
	checkpoints.Add(cp, 1024, 128, 1000)
	var b strings.Builder
	require.NoError(t, WriteBench(&b, cp))
	assert.Equal(t, "OLLAMA_KV_CACHE_TYPE=q8_0", readBench(t, b.String())[0].GetConfig("settings"))
}

func TestBenchWriterStreams(t *testing.T) {
	cp := checkpoints.Mixed()
	var whole, streamed bytes.Buffer
	require.NoError(t, WriteBench(&whole, cp))
	b := NewBenchWriter(&streamed, cp.Sweep)
	assert.Empty(t, streamed.String(), "nothing before the first sample")
	for i := range cp.Results {
		for _, s := range cp.Results[i].Samples {
			require.NoError(t, b.Sample(&cp.Results[i], s))
			assert.True(t, streamed.Len() == 0 || strings.HasSuffix(streamed.String(), "\n"))
		}
	}
	assert.Equal(t, whole.String(), streamed.String())
	require.NoError(t, b.Sample(&cp.Results[0], measurement.Sample{PromptEvalCount: 5}))
	assert.Equal(t, whole.String(), streamed.String(), "a sample without a duration has no rate")
}

func TestBenchFigure(t *testing.T) {
	for x, want := range map[float64]string{
		78.8: "78.8", 1234.5678: "1234.57", 139357.2468: "139357.25", 0.00123456789: "0.00123457",
		18_397_265_920: "18397265920", 1000.0 / 3: "333.333", 84: "84",
	} {
		assert.Equal(t, want, benchFigure(x))
	}
}

func TestWriteBenchToFullDisk(t *testing.T) {
	for _, room := range []fullDisk{0, 300} {
		disk := room
		assert.ErrorIs(t, WriteBench(&disk, checkpoints.Mixed()), errFull)
	}
	disk := fullDisk(0)
	assert.ErrorIs(t, WriteBench(&disk, olderTool(t)), errFull)
}

// saveBench writes the benchmark lines of a checkpoint to a file.
func saveBench(t *testing.T, path string, cp *checkpoint.Checkpoint) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, WriteBench(&b, cp))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
}

func TestBenchstatPivots(t *testing.T) {
	dir := t.TempDir()
	saveBench(t, filepath.Join(dir, BenchFile), checkpoints.Mixed())
	out := benchstat.Rates(t, dir, "-row", "/ctx@num", "-col", "/batch@num", BenchFile)
	assert.Contains(t, out, "model: nemotron_f\n")
	assert.Regexp(t, `(?m)^ +│ +128 +│ +384 +│ +640 +│ +896 +│$`, out)
	assert.Regexp(t, `(?m)^512 +1\.000k ± ∞ ¹ +1\.250k ± ∞ ¹ `, out)
	assert.Regexp(t, `(?m)^1024 +1\.250k ± ∞ ¹ +1\.600k ± ∞ ¹ .* 1\.600k ± ∞ ¹ .* 2\.000k ± ∞ ¹ `, out)
	assert.NotContains(t, out, "NaN")
}

func TestBenchstatPivotsSettings(t *testing.T) {
	dir := t.TempDir()
	saveBench(t, filepath.Join(dir, BenchFile), checkpoints.Settings())
	out := benchstat.Rates(t, dir, "-row", "/num_gpu", "-col", "/flash_attention", BenchFile)
	assert.Contains(t, out, "fixed: num_thread=8, use_mmap=auto, kv_cache_type=q8_0, OLLAMA_NEW_ENGINE=a b\n")
	assert.Regexp(t, `(?m)^ +│ +on +│ +off +│$`, out)
	assert.Regexp(t, `(?m)^auto +1\.600k ± 0% ¹ +1\.422k ± 0% ¹ +-11\.11% \(n=12\+9\)$`, out)
	assert.Regexp(t, `(?m)^20 +1\.280k ± 0% ¹ +1\.138k ± 0% ¹ +-11\.11% `, out)
	assert.NotContains(t, out, "NaN")
	out = benchstat.Rates(t, dir, "-table", "/ctx@num,/batch@num", "-row", "/num_gpu", "-col", "/flash_attention", BenchFile)
	assert.Contains(t, out, "/ctx: 8192\n/batch: 256\n")
	assert.Regexp(t, `(?m)^auto +1\.600k ± ∞ ¹ +1\.422k ± ∞ ¹ `, out)
}

func TestBenchstatCompares(t *testing.T) {
	dir := t.TempDir()
	for name, rate := range map[string]float64{"old.txt": 1000, "new.txt": 1250} {
		cp := checkpoints.Planned([]int{1024}, []int{128, 256})
		for _, c := range cp.Plan() {
			checkpoints.Add(cp, c.Ctx, c.Batch, rate, rate, rate, rate, rate, rate)
		}
		saveBench(t, filepath.Join(dir, name), cp)
	}
	out := benchstat.Rates(t, dir, "-row", "/ctx@num,/batch@num", "-col", ".file", "old.txt", "new.txt")
	assert.Regexp(t, `1024 128 +1\.000k ± 0% +1\.250k ± 0% +\+25\.00% \(p=0\.002 n=6\)`, out)
	assert.Regexp(t, `1024 256 +1\.000k`, out)
}

func TestRatesOfSamplesAreFinite(t *testing.T) {
	s := measurement.Sample{PromptEvalCount: 1, PromptEvalDuration: time.Nanosecond}
	rate, ok := s.PromptEvalRate()
	require.True(t, ok)
	assert.False(t, math.IsInf(rate, 0))
	assert.Equal(t, "1000000000", benchFigure(rate))
}
