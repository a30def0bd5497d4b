package compare

import (
	"bytes"
	"errors"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/test/benchstat"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// swept returns a sweep of num_ctx × num_batch with so many samples a cell. Rates are
// those of the function rate, with noise of half a percent.
func swept(seed uint64, ctx, batch []int, samples int, rate func(ctx, batch int) float64) *checkpoint.Checkpoint {
	rng := rand.New(rand.NewPCG(seed, 1))
	cp := &checkpoint.Checkpoint{Version: checkpoint.Version, Sweep: checkpoint.Header{Model: "tiny", Digest: "d1", OllamaVersion: "0.10.1", GPU: []string{"A"}, NumCtx: ctx, NumBatch: batch}}
	for _, c := range ctx {
		for _, b := range batch {
			r := checkpoint.Result{NumCtx: c, NumBatch: b}
			for range samples {
				r.Samples = append(r.Samples, measurement.Sample{
					PromptEvalCount:    10_000,
					PromptEvalDuration: time.Duration(10_000 / rate(c, b) / (1 + 0.005*rng.NormFloat64()) * float64(time.Second)),
				})
			}
			median := verdict.Median(r.SampleRates())
			r.PromptEvalRate = &median
			cp.Results = append(cp.Results, r)
		}
	}
	return cp
}

func plainRate(int, int) float64 { return 1000 }

func fails(cp *checkpoint.Checkpoint, i int, class measurement.Class) {
	cp.Results[i] = checkpoint.Result{NumCtx: cp.Results[i].NumCtx, NumBatch: cp.Results[i].NumBatch, Error: &class}
}

// updated returns a sweep before and after an update that made one cell slower by
// 12 %, one by 3 %, and one faster.
func updated() (old, new *checkpoint.Checkpoint) {
	ctx, batch := []int{1024, 2048, 4096}, []int{128, 256}
	old = swept(1, ctx, batch, 6, plainRate)
	new = swept(2, append(ctx, 8192), batch, 6, func(ctx, batch int) float64 {
		switch {
		case ctx == 2048 && batch == 256:
			return 880
		case ctx == 4096 && batch == 128:
			return 970
		case ctx == 1024 && batch == 256:
			return 1080
		}
		return 1000
	})
	new.Sweep.OllamaVersion = "0.11.0 <b>|"
	new.Sweep.Digest = "d2"
	return old, new
}

// cases returns the comparisons of the goldens.
func cases(t *testing.T) map[string]*Comparison {
	all := make(map[string]*Comparison)
	add := func(name string, old, new *checkpoint.Checkpoint, limit float64) {
		c, err := Compare(old, new, limit)
		require.NoError(t, err)
		c.OldName, c.NewName = "results/before", "results/after_1"
		all[name] = c
	}
	old, new := updated()
	fails(old, 0, measurement.RunnerCrashed)
	add("updated", old, new, 0.05)
	add("no_limit", old, new, 0)
	old, new = swept(3, []int{1024, 2048}, []int{128, 256}, 1, plainRate), swept(4, []int{1024, 2048}, []int{128, 256}, 1, plainRate)
	add("one_sample", old, new, 0.05)
	old, new = swept(5, []int{1024}, []int{128, 256}, 6, plainRate), swept(6, []int{1024}, []int{128, 256}, 6, plainRate)
	fails(new, 1, measurement.OutOfGPUMemory)
	add("fails_now", old, new, 0.05)
	return all
}

func TestTexts(t *testing.T) {
	for name, c := range cases(t) {
		t.Run(name, func(t *testing.T) {
			var text, summary strings.Builder
			require.NoError(t, c.Print(&text))
			require.NoError(t, c.WriteSummary(&summary))
			golden.Equal(t, name+".txt", text.String())
			golden.Equal(t, name+".md", summary.String())
			assert.Error(t, c.Print(full{}))
			assert.Error(t, c.WriteSummary(full{}))
			assert.Error(t, c.writePicture(full{}))
		})
	}
}

// TestIdentityInWords: prompts are named by their sizes, and by a hash only where the
// size is not known.
func TestIdentityInWords(t *testing.T) {
	old, new := updated()
	old.Sweep.PromptSHA256, new.Sweep.PromptSHA256 = "a", "b"
	assert.Contains(t, identity(old.Sweep, new.Sweep), Difference{"prompt", "a", "b"})
	new.Sweep.Prompt = "{tokens: 500}"
	assert.Contains(t, identity(old.Sweep, new.Sweep), Difference{"prompt", "sha256 a", "{tokens: 500} (sha256 b)"})
	old.Sweep.Prompt = "{tokens: 400}"
	assert.Contains(t, identity(old.Sweep, new.Sweep), Difference{"prompt", "{tokens: 400}", "{tokens: 500}"})
}

// TestIdentityNamesSettingsFirst: the server's settings affect its rates most.
func TestIdentityNamesSettingsFirst(t *testing.T) {
	old, new := updated()
	before := identity(old.Sweep, new.Sweep)
	require.NotEmpty(t, before)
	old.Sweep.Settings = map[string]string{"OLLAMA_KV_CACHE_TYPE": "", "OLLAMA_FLASH_ATTENTION": "false"}
	assert.Equal(t, before, identity(old.Sweep, new.Sweep), "the new server's log does not report them")
	new.Sweep.Settings = map[string]string{"OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_FLASH_ATTENTION": "true"}
	assert.Equal(t, append([]Difference{
		{"OLLAMA_FLASH_ATTENTION", "false", "true"},
		{"OLLAMA_KV_CACHE_TYPE", "unset", "q8_0"},
	}, before...), identity(old.Sweep, new.Sweep))
}

// TestPromptTokensAreNamed: prompts of different lengths are reported as a difference,
// also with the same hash.
func TestPromptTokensAreNamed(t *testing.T) {
	old, new := updated()
	tokens := func(cp *checkpoint.Checkpoint, count func(numCtx int) int) {
		for i := range cp.Results {
			r := &cp.Results[i]
			for j := range r.Samples {
				s := &r.Samples[j]
				n := count(r.NumCtx)
				s.PromptEvalDuration = time.Duration(float64(s.PromptEvalDuration) * float64(n) / float64(s.PromptEvalCount))
				s.PromptEvalCount = n
			}
			r.SetRate()
		}
	}
	lengths := func() (found []Difference) {
		c, err := Compare(old, new, 0)
		require.NoError(t, err)
		for _, d := range c.Identity {
			if d.Field == "prompt tokens" {
				found = append(found, d)
			}
		}
		return found
	}
	assert.Empty(t, lengths())
	tokens(old, func(int) int { return 392 })
	tokens(new, func(int) int { return 405 })
	assert.Equal(t, []Difference{{"prompt tokens", "392", "405"}}, lengths())
	tokens(new, func(ctx int) int { return 392 + ctx/2048 })
	assert.Equal(t, []Difference{{"prompt tokens", "392", "393 to 394"}}, lengths(), "only those that differ")
	for i := range old.Results {
		old.Results[i].Samples = nil
	}
	assert.Empty(t, lengths(), "an older version did not record them")
}

// full is a writer to a full disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestNamesAreData: control characters in a checkpoint do not reach the output.
func TestNamesAreData(t *testing.T) {
	old, new := updated()
	new.Sweep.Model = "tiny\x1b[31mred\x1b[0m\r\nRegression: none"
	fails(new, 0, "CUDA \x1b[2JOOM")
	c, err := Compare(old, new, 0)
	require.NoError(t, err)
	var text, summary strings.Builder
	require.NoError(t, c.Print(&text))
	require.NoError(t, c.WriteSummary(&summary))
	for _, got := range []string{text.String(), summary.String()} {
		assert.NotContains(t, got, "\x1b")
		assert.NotContains(t, got, "\nRegression: none")
	}
}

func TestCompareFindsChanges(t *testing.T) {
	c := cases(t)["updated"]
	regressed := c.Regressed()
	require.Len(t, regressed, 1, "3 % is within the limit")
	assert.Equal(t, cell.Key{Ctx: 2048, Batch: 256}, regressed[0].Key)
	assert.InDelta(t, -0.12, regressed[0].Ratio, 0.01)
	assert.True(t, c.Failed())
	assert.False(t, c.MeanRegressed())
	assert.Len(t, c.significant(), 3)
	assert.Equal(t, []cell.Key{{Ctx: 1024, Batch: 128}}, c.FailBefore)
	assert.Equal(t, []cell.Key{{Ctx: 8192, Batch: 128}, {Ctx: 8192, Batch: 256}}, c.OnlyNew)
	assert.Equal(t, []Difference{{"model digest", "d1", "d2"}, {"Ollama version", "0.10.1", "0.11.0 <b>|"}}, c.Identity)

	failing := cases(t)["fails_now"]
	assert.Empty(t, failing.Regressed())
	assert.True(t, failing.Failed(), "a cell that worked fails")
}

// TestMeanOfSingleSamples: with one sample a cell, a regression of a single cell can't be
// found, but that of the mean can.
func TestMeanOfSingleSamples(t *testing.T) {
	ctx, batch := []int{1024, 2048, 4096, 8192}, []int{64, 128, 256, 512}
	old := swept(7, ctx, batch, 1, plainRate)
	slow, err := Compare(old, swept(8, ctx, batch, 1, func(int, int) float64 { return 900 }), 0.05)
	require.NoError(t, err)
	assert.Empty(t, slow.Regressed())
	assert.True(t, slow.MeanRegressed())
	assert.True(t, slow.Failed())
	few, needed := slow.tooFew()
	assert.Equal(t, 16, few)
	assert.Equal(t, 6, needed)
	same, err := Compare(old, swept(9, ctx, batch, 1, plainRate), 0.05)
	require.NoError(t, err)
	assert.False(t, same.Failed())
}

func TestNothingToCompare(t *testing.T) {
	old, new := swept(1, []int{1024}, []int{128}, 1, plainRate), swept(1, []int{2048}, []int{128}, 1, plainRate)
	_, err := Compare(old, new, 0)
	assert.EqualError(t, err, "no cell has a rate in both sweeps: there is nothing to compare")
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	files, err := cases(t)["updated"].Write(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{SummaryFile, ChangesFile}, files)
	data, err := os.ReadFile(filepath.Join(dir, ChangesFile))
	require.NoError(t, err)
	img, err := png.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	assert.Equal(t, 6000, img.Bounds().Dx())
	assert.FileExists(t, filepath.Join(dir, SummaryFile))
	_, err = cases(t)["updated"].Write(filepath.Join(dir, SummaryFile, "x"))
	assert.ErrorContains(t, err, "opening the out folder")
}

// TestManyCells: of many cells only significant changes are listed.
func TestManyCells(t *testing.T) {
	var ctx, batch []int
	for i := range 47 {
		ctx = append(ctx, 8192+2048*i)
	}
	for i := range 17 {
		batch = append(batch, 128+128*i)
	}
	old := swept(10, ctx, batch, 9, plainRate)
	new := swept(11, ctx, batch, 9, func(ctx, batch int) float64 {
		if ctx >= 50*2048 {
			return 900
		}
		return 1000
	})
	c, err := Compare(old, new, 0.05)
	require.NoError(t, err)
	var text, summary strings.Builder
	require.NoError(t, c.Print(&text))
	require.NoError(t, c.WriteSummary(&summary))
	assert.Len(t, c.Regressed(), 17)
	assert.Less(t, strings.Count(text.String(), "\n"), 40)
	assert.Less(t, len(summary.String()), 5000)
	assert.Greater(t, len(c.significant()), mostRows-4)
}

// TestBenchstatAgrees: benchstat reads the same medians from the two bench.txt.
func TestBenchstatAgrees(t *testing.T) {
	old, new := updated()
	dir := t.TempDir()
	for name, cp := range map[string]*checkpoint.Checkpoint{"old.txt": old, "new.txt": new} {
		var b bytes.Buffer
		require.NoError(t, report.WriteBench(&b, cp))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644))
	}
	c, err := Compare(old, new, 0)
	require.NoError(t, err)
	csv := benchstat.Rates(t, dir, "-format", "csv", "-ignore", "digest,ollama", "-row", "/ctx@num,/batch@num", "-col", ".file", "old.txt", "new.txt")
	for _, cell := range c.Cells {
		var found bool
		for line := range strings.Lines(csv) {
			fields := strings.Split(strings.TrimSpace(line), ",")
			if len(fields) < 4 || fields[0] != strconv.Itoa(cell.Ctx)+" "+strconv.Itoa(cell.Batch) {
				continue
			}
			found = true
			for i, want := range map[int]float64{1: cell.Old, 3: cell.New} {
				got, err := strconv.ParseFloat(fields[i], 64)
				require.NoError(t, err, line)
				assert.InEpsilon(t, want, got, 1e-5, "%v", cell.Key) // lines have six digits
			}
		}
		assert.True(t, found, "%v in:\n%s", cell.Key, csv)
	}
}
