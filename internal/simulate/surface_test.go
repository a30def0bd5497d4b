package simulate

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

func TestReadSurface(t *testing.T) {
	s, err := Read(filepath.Join("testdata", "memory-39x16.json"))
	require.NoError(t, err)
	assert.Equal(t, "memory-39x16", s.Name)
	assert.Equal(t, "39 x 16", s.grid())
	assert.Len(t, s.Plan, 39*16)
	assert.Less(t, len(s.Rates), len(s.Plan), "some cells fail")
	assert.Equal(t, 82.86, s.Rates[cell.Key{Ctx: 32768, Batch: 128}])
	assert.Equal(t, 296.47, s.Best())
	assert.Equal(t, column{32768, 296.47}, s.columns()[0])
	assert.Positive(t, s.Noise)
}

// TestReadCheckpoint: a sweep's medians are the true rates.
func TestReadCheckpoint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my")
	require.NoError(t, os.Mkdir(dir, 0o755))
	file := filepath.Join(dir, checkpoint.FileName)
	require.NoError(t, os.WriteFile(file, []byte(`{"version": 1, "sweep": {"model": "m", "num_ctx": [1000, 2000], "num_batch": [100, 200]}, "results": [
		{"num_ctx": 1000, "num_batch": 100, "prompt_eval_rate": 90, "error": null},
		{"num_ctx": 1000, "num_batch": 200, "prompt_eval_rate": 95, "error": null},
		{"num_ctx": 2000, "num_batch": 200, "prompt_eval_rate": null, "error": "CUDA OOM"}]}`), 0o644))
	s, err := Read(file)
	require.NoError(t, err)
	assert.Equal(t, "my", s.Name)
	assert.Equal(t, 1, s.Missing)
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 200}}, s.Plan, "cells without a result are left out")
	assert.Equal(t, map[cell.Key]float64{{Ctx: 1000, Batch: 100}: 90, {Ctx: 1000, Batch: 200}: 95}, s.Rates)
}

func TestReadRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty", ``, "the file is empty"},
		{"invalid JSON", `{`, "the file ends in the middle of a value"},
		{"another file", `{"a": 1}`, `no "version": this is not a sweep's checkpoint`},
		{"no axis", `{"true_rate": [[1]]}`, "num_ctx must be positive and ascending"},
		{"a descending axis", `{"num_ctx": [2, 1], "num_batch": [1], "true_rate": [[1], [1]]}`, "num_ctx must be positive and ascending"},
		{"an axis of zeros", `{"num_ctx": [1], "num_batch": [0], "true_rate": [[1]]}`, "num_batch must be positive and ascending"},
		{"rows", `{"num_ctx": [1, 2], "num_batch": [1], "true_rate": [[1]]}`, "true_rate has 1 rows for 2 num_ctx"},
		{"columns", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[1, 2]]}`, "true_rate of num_ctx 1 has 2 rates for 1 num_batch"},
		{"a rate of zero", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[0]]}`, "true_rate of ctx=1/batch=1 must be positive"},
		{"no rate", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[null]]}`, "no cell has a rate, so there is nothing to find"},
		{"noise", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[1]], "noise": -1}`, "noise must not be negative, and outlier_prob and outlier_low must be from 0 to 1"},
		{"outliers", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[1]], "outlier_prob": 2}`, "noise must not be negative, and outlier_prob and outlier_low must be from 0 to 1"},
		{"sizes", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[1]], "size": [[1, 2]]}`, "size and size_vram must have the rows and columns of true_rate"},
		{"rows of probes", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[1]], "probe_rate": []}`, "probe_rate must have the rows and columns of true_rate"},
		{"columns of probes", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[1]], "probe_rate": [[[1], [1]]]}`, "probe_rate must have the rows and columns of true_rate"},
		{"a probe above its load", `{"num_ctx": [2], "num_batch": [1, 2], "true_rate": [[1, 1]], "probe_rate": [[[1, 2], [1, 2]]]}`, "with a rate for each num_batch up to that of the column"},
		{"a probe of zero", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[1]], "probe_rate": [[[0]]]}`, "probe_rate of ctx=1/batch=1 must be positive"},
		{"a negative prompt", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[1]], "prompt_tokens": -1}`, "prompt_tokens is -1: it must be positive"},
		{"a key twice", `{"num_ctx": [1], "num_batch": [1], "true_rate": [[1]], "true_rate": [[2]]}`, `duplicate key "true_rate"`},
		{"a text", `{"num_ctx": [1], "num_batch": [1], "true_rate": [["1"]]}`, "line 1: true_rate/0/0 must be a number"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "s.json")
			require.NoError(t, os.WriteFile(file, []byte(test.text), 0o644))
			_, err := Read(file)
			assert.ErrorContains(t, err, test.want)
			assert.ErrorContains(t, err, file)
		})
	}
	_, err := Read("no such file")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"num_ctx": [1, 8], "num_batch": [1, 2], "true_rate": [[1, 2], [3, null]], "noise": 0.01}`))
	f.Add([]byte(`{"num_ctx": [1], "num_batch": [9], "true_rate": [[1e999]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decode(data)
		if err != nil {
			return
		}
		assert.False(t, math.IsNaN(s.Best()) || math.IsInf(s.Best(), 0))
		run := Play(s, sweep.Exhaustive{Repeat: 1}, 1)
		assert.Equal(t, float64(len(s.Plan)), run.Cost)
		assert.False(t, math.IsNaN(run.Regret))
	})
}

// TestReadProbes checks which probes a load has, and how long a prompt is.
func TestReadProbes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"num_ctx": [2, 4], "num_batch": [1, 2], "true_rate": [[10, 20], [11, null]],
		"probe_rate": [[[9], [null, 19]], [[12], null]], "prompt_tokens": 300}`), 0o644))
	s, err := Read(file)
	require.NoError(t, err)
	assert.Equal(t, map[cell.Key]map[int]float64{{Ctx: 2, Batch: 1}: {1: 9}, {Ctx: 2, Batch: 2}: {2: 19}, {Ctx: 4, Batch: 1}: {1: 12}}, s.Probes)
	assert.Equal(t, 300, s.PromptTokens)
}

func TestReading(t *testing.T) {
	c := cell.Key{Ctx: 1, Batch: 1}
	s := &Surface{Rates: map[cell.Key]float64{c: 100}, OutlierProb: 0.25, OutlierLow: 0.8}
	rng := rand.New(rand.NewPCG(1, 1))
	slow := 0
	for range 10000 {
		v := s.reading(s.Rates[c], rng)
		assert.True(t, v >= 80 && v <= 100)
		if v < 100 {
			slow++
		}
	}
	assert.InDelta(t, 2500, slow, 150)
}

// TestGenerate: the same seed gives the same surfaces, and each kind has its difficulty.
func TestGenerate(t *testing.T) {
	surfaces, again := Generate(40, 7), Generate(40, 7)
	assert.Equal(t, surfaces, again)
	assert.NotEqual(t, surfaces[0].Rates, Generate(1, 8)[0].Rates)
	grids := make(map[string]bool)
	for i, s := range surfaces {
		kind := Kinds[i%len(Kinds)]
		grids[s.grid()] = true
		if kind != "oom" && kind != "band" {
			assert.Len(t, s.Rates, len(s.Plan), s.Name)
		}
		if kind == "small" {
			for _, c := range s.Plan {
				assert.GreaterOrEqual(t, s.Rates[cell.Key{Ctx: c.Ctx, Batch: s.Plan[0].Batch}]*1.2, s.Rates[c], s.Name)
			}
		}
	}
	assert.Greater(t, len(grids), 2)
}
