package merge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

var (
	noon = time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)
	ctxs = []int{1024, 2048, 4096}
	bats = []int{64, 128, 256, 512}
)

func header(shard cell.Shard) checkpoint.Header {
	return checkpoint.Header{
		Model: "m", Digest: "d", PromptSHA256: "p", NumPredict: 2, Runner: "api", OllamaVersion: "0.10.1", GPU: []string{"A", "A"}, Driver: "550",
		NumCtx: ctxs, NumBatch: bats, Shard: shard, Started: noon.Add(time.Duration(shard.Index) * time.Minute), Command: "-config my.yaml -repeat=6",
	}
}

// result returns a cell with samples of these rates, in tokens per second.
func result(c cell.Key, at time.Time, rates ...float64) checkpoint.Result {
	r := checkpoint.Result{NumCtx: c.Ctx, NumBatch: c.Batch, Timestamp: at, ContextLength: c.Ctx, Settings: checkpoint.SettingsVerified}
	for _, rate := range rates {
		r.Samples = append(r.Samples, measurement.Sample{PromptEvalCount: 500, PromptEvalDuration: time.Duration(500 / rate * float64(time.Second))})
	}
	r.SetRate()
	return r
}

func failed(c cell.Key, at time.Time, class measurement.Class) checkpoint.Result {
	return checkpoint.Result{NumCtx: c.Ctx, NumBatch: c.Batch, Timestamp: at, Error: &class}
}

// shard returns a complete shard, measured on its own host.
func shard(index, count int) *checkpoint.Checkpoint {
	cp := &checkpoint.Checkpoint{Version: checkpoint.Version, Sweep: header(cell.Shard{Index: index, Count: count})}
	for i, c := range cp.Plan() {
		at := cp.Sweep.Started.Add(time.Duration(i) * 10 * time.Minute)
		cp.Results = append(cp.Results, result(c, at, 1000+float64(c.Ctx+c.Batch)/10+float64(index), 1001+float64(c.Batch)))
	}
	for i := range 2 {
		cp.Auxiliary = append(cp.Auxiliary, checkpoint.Auxiliary{Purpose: checkpoint.HostCheck, Host: fmt.Sprint("node", index),
			Result: result(cell.Key{Ctx: 1024, Batch: 64}, cp.Sweep.Started.Add(time.Duration(i)*time.Hour), 1000+float64(i+index), 1001, 1002)})
	}
	return cp
}

// save writes checkpoints into subfolders of a new folder, which it returns.
func save(t *testing.T, folders map[string]*checkpoint.Checkpoint) string {
	t.Helper()
	dir := t.TempDir()
	for name, cp := range folders {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		require.NoError(t, cp.Save(filepath.Join(dir, name, checkpoint.FileName)))
	}
	return dir
}

func shards(t *testing.T, n int) string {
	t.Helper()
	folders := make(map[string]*checkpoint.Checkpoint)
	for i := range n {
		folders[fmt.Sprintf("my-%dof%d", i+1, n)] = shard(i+1, n)
	}
	return save(t, folders)
}

func text(t *testing.T, m *Merged) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, m.Print(&b))
	return b.String()
}

func TestMergeOfAllShards(t *testing.T) {
	dir := shards(t, 4)
	m, err := Merge([]string{filepath.Join(dir, "my-*of4")})
	require.NoError(t, err)
	whole, _ := cell.Grid{Ctx: ctxs, Batch: bats}.Cells()
	var cells []cell.Key
	for _, r := range m.Checkpoint.Results {
		cells = append(cells, r.Cell())
	}
	assert.ElementsMatch(t, whole, cells, "every cell once")
	assert.Empty(t, m.Lacking)
	assert.Empty(t, m.Contradictions)
	assert.Empty(t, m.Pooled)
	assert.Zero(t, m.Copies)
	for i := 1; i < len(cells); i++ {
		assert.False(t, m.Checkpoint.Results[i].Timestamp.Before(m.Checkpoint.Results[i-1].Timestamp), "in the order of measurement")
	}
	h := m.Checkpoint.Sweep
	assert.Equal(t, cell.Shard{}, h.Shard)
	assert.Equal(t, noon.Add(time.Minute), h.Started, "the earliest")
	assert.Equal(t, checkpoint.Source{From: filepath.Join(dir, "my-2of4"), Shard: cell.Shard{Index: 2, Count: 4}, Cells: 3}, h.Merged[1])
	spread, ok := sweep.Spread(m.Checkpoint)
	require.True(t, ok)
	assert.Len(t, spread.Hosts, 4)

	path, err := m.Save("", noon)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "my", checkpoint.FileName), path, "the common stem of the folders")
	read, err := checkpoint.Load(path)
	require.NoError(t, err, "a merged checkpoint can be loaded")
	assert.Equal(t, m.Checkpoint, read)

	// The order, folders or files, and duplicates make no difference.
	var in []string
	for i := 4; i > 0; i-- {
		in = append(in, filepath.Join(dir, fmt.Sprintf("my-%dof4", i)))
	}
	again, err := Merge(append(in, filepath.Join(in[0], checkpoint.FileName), filepath.Join(dir, "my*")))
	require.NoError(t, err)
	assert.Equal(t, m.Checkpoint, again.Checkpoint)
	assert.Equal(t, []string{filepath.Join(dir, "my") + ": it is a merged checkpoint"}, again.PassedOver)
	_, err = again.Save("", noon)
	assert.NoError(t, err, "a merged checkpoint may be replaced")
	assert.Empty(t, again.Aside)

	// Without the folder of a shard, the samples of that shard are kept.
	fewer, err := Merge(in[:3])
	require.NoError(t, err)
	path, err = fewer.Save("", noon)
	require.NoError(t, err)
	assert.Equal(t, strings.TrimSuffix(path, ".json")+"-20260203-120000.000.json", fewer.Aside)
	assert.Contains(t, text(t, fewer), "\nMoved aside: the previous merged checkpoint has samples that none of these has; it is now "+fewer.Aside+"\n")
	read, err = checkpoint.Load(fewer.Aside)
	require.NoError(t, err)
	assert.Equal(t, m.Checkpoint, read)
	again, err = Merge([]string{filepath.Dir(path), fewer.Aside})
	require.NoError(t, err, "it can be merged")
	assert.ElementsMatch(t, m.Checkpoint.Results, again.Checkpoint.Results)
}

func TestMergeRefuses(t *testing.T) {
	for name, change := range map[string]func(*checkpoint.Header){
		"model":          func(h *checkpoint.Header) { h.Model = "x" },
		"model digest":   func(h *checkpoint.Header) { h.Digest = "x" },
		"modelfile":      func(h *checkpoint.Header) { h.ModelfileSHA256 = "x" },
		"prompt":         func(h *checkpoint.Header) { h.PromptSHA256 = "x" },
		"num_predict":    func(h *checkpoint.Header) { h.NumPredict = 9 },
		"runner":         func(h *checkpoint.Header) { h.Runner = "x" },
		"Ollama version": func(h *checkpoint.Header) { h.OllamaVersion = "x" },
		"GPU":            func(h *checkpoint.Header) { h.GPU = []string{"A"} },
		"driver":         func(h *checkpoint.Header) { h.Driver = "" },
	} {
		other := shard(2, 2)
		change(&other.Sweep)
		dir := save(t, map[string]*checkpoint.Checkpoint{"a": shard(1, 2), "b": other})
		_, err := Merge([]string{filepath.Join(dir, "*")})
		require.Error(t, err, name)
		assert.Regexp(t, `^\S+/b does not belong to \S+/a: `+name+` is ".*" here and ".*" there$`, err.Error())
	}

	// The first part need not have the devices from the server's log.
	devices := make(map[string]*checkpoint.Checkpoint)
	for i, known := range [][]string{nil, {"A"}, nil, {"A"}, {parse.CPU}} {
		cp := shard(i+1, 5)
		cp.Sweep.Devices = known
		devices[fmt.Sprint("d", i)] = cp
	}
	dir := save(t, devices)
	m, err := Merge([]string{filepath.Join(dir, "d[0-3]")})
	require.NoError(t, err)
	assert.Equal(t, []string{"A"}, m.Checkpoint.Sweep.Devices)
	_, err = Merge([]string{filepath.Join(dir, "d*")})
	assert.EqualError(t, err, fmt.Sprintf(`%[1]s/d4 does not belong to %[1]s/d1: server's device is "cpu" here and "A" there`, dir))

	folders := map[string]*checkpoint.Checkpoint{"0": shard(1, 2)}
	for i := range 15 {
		other := shard(2, 2)
		other.Sweep.Driver = "x"
		folders[fmt.Sprint("b", i)] = other
	}
	_, err = Merge([]string{save(t, folders) + "/*"})
	assert.Len(t, strings.Split(err.Error(), "\n"), 11, "several errors at once, but a limited number")
	assert.ErrorContains(t, err, "\nand 5 more")

	dir = save(t, map[string]*checkpoint.Checkpoint{"a": shard(1, 2), "b": shard(2, 2)})
	file := filepath.Join(dir, "b", checkpoint.FileName)
	require.NoError(t, os.WriteFile(file, []byte(`{"metadata": {}, "results": [{"num_ctx": 1, "num_batch": 1, "prompt_eval_rate": 1}]}`), 0o644))
	_, err = Merge([]string{dir + "/*"})
	assert.ErrorContains(t, err, "was written by an older tool, which did not record model, prompt and machine")
	require.NoError(t, os.WriteFile(file, []byte(`{"version": 1`), 0o644))
	_, err = Merge([]string{dir + "/*"})
	assert.ErrorContains(t, err, "line 1: the file ends in the middle of a value")
	_, err = Merge([]string{dir + "/x*"})
	assert.ErrorContains(t, err, "no file or folder matches")
	_, err = Merge([]string{dir + "/x", dir + "/a"})
	assert.ErrorContains(t, err, "does not exist: run a sweep first")
	_, err = Merge([]string{dir + "/[a"})
	assert.ErrorContains(t, err, "syntax error in pattern")
}

func TestMergePools(t *testing.T) {
	c := []cell.Key{{Ctx: 1024, Batch: 64}, {Ctx: 1024, Batch: 128}, {Ctx: 1024, Batch: 256}, {Ctx: 1024, Batch: 512}, {Ctx: 2048, Batch: 64}, {Ctx: 2048, Batch: 128}, {Ctx: 2048, Batch: 256}}
	steady := func(rate float64) (rates []float64) {
		for i := range 8 {
			rates = append(rates, rate+float64(i)/10)
		}
		return rates
	}
	a := &checkpoint.Checkpoint{Version: checkpoint.Version, Sweep: header(cell.Shard{})}
	a.Results = []checkpoint.Result{
		result(c[0], noon, 1000, 1010), failed(c[1], noon, measurement.OutOfGPUMemory), result(c[2], noon, 1000), result(c[3], noon, 1000),
		result(c[4], noon, steady(1000)...), failed(c[5], noon, measurement.OutOfGPUMemory), result(c[6], noon, 1000),
	}
	a.Results[6].Size, a.Results[6].SizeVRAM = 100, 100
	b := &checkpoint.Checkpoint{Version: checkpoint.Version, Sweep: header(cell.Shard{})}
	later := noon.Add(time.Hour)
	b.Results = []checkpoint.Result{
		result(c[0], later, 1020, 1010), result(c[1], later, 1100), failed(c[2], later, measurement.RunnerCrashed), result(c[3], later, 1001),
		result(c[4], later, steady(1200)...), failed(c[5], later, measurement.Timeout), result(c[6], later, 1001),
	}
	b.Results[3].Samples[0].PromptEvalCount = 501
	b.Results[3].SetRate()
	b.Results[3].Settings = checkpoint.SettingsRequested
	b.Results[6].Size, b.Results[6].SizeVRAM = 100, 60
	b.Results[6].Memory = &measurement.Memory{GPULayers: 20, Layers: 33}
	dir := save(t, map[string]*checkpoint.Checkpoint{"a": a, "b": b})
	m, err := Merge([]string{dir + "/a", dir + "/b"})
	require.NoError(t, err)

	results := m.Checkpoint.ByCell()
	assert.Equal(t, []float64{1000, 1010, 1020}, rounded(results[c[0]].SampleRates()), "a sample that is in both counts once")
	assert.Equal(t, 1, m.Copies)
	assert.InDelta(t, 1010, *results[c[0]].PromptEvalRate, 0.01)
	for _, i := range []int{1, 2} {
		assert.True(t, results[c[i]].Failed(), "a cell that failed in one part counts as failed")
		assert.Len(t, results[c[i]].Samples, 1, "and no sample is lost")
	}
	assert.Equal(t, checkpoint.SettingsRequested, results[c[3]].Settings)
	assert.EqualValues(t, 60, results[c[6]].SizeVRAM)
	assert.Equal(t, b.Results[6].Memory, results[c[6]].Memory)
	assert.Equal(t, []cell.Key{c[0], c[3], c[4], c[6]}, m.Pooled)

	printed := strings.ReplaceAll(text(t, m), dir, "")
	for _, want := range []string{
		"Merged 2 checkpoints:\n  /a: 7 cells\n  /b: 7 cells\n",
		"Pooled: 4 cells have samples from several: num_ctx=1024 with num_batch=64, 512; num_ctx=2048 with num_batch=64, 256\n",
		"Copies: 1 samples are in several, and count once\n",
		`Contradiction: num_ctx=1024, num_batch=128: failed as "CUDA OOM" in /a and has 1100.0 tokens/s in /b; it counts as failed, -retry-failed measures it again there` + "\n",
		`Contradiction: num_ctx=1024, num_batch=256: failed as "Runner crashed" in /b and has 1000.0 tokens/s in /a`,
		"Contradiction: num_ctx=1024, num_batch=512: the number of prompt tokens is 500 in /a and 501 in /b\n",
		"Contradiction: num_ctx=2048, num_batch=64: 1000.4 tokens/s in /a and 1200.4 in /b, which differ by more than chance\n",
		`Contradiction: num_ctx=2048, num_batch=128: failed as "CUDA OOM" in /a and as "Timeout or no output" in /b` + "\n",
		"Contradiction: num_ctx=2048, num_batch=256: the model was partly in GPU memory in /b, and entirely in /a\n",
	} {
		assert.Contains(t, printed, want)
	}
	assert.Len(t, m.Contradictions, 6)
	assert.Contains(t, strings.Join(results[c[4]].Warnings, "|"), "merge: 1000.4 tokens/s in ")
	path, err := m.Save(filepath.Join(dir, "both"), noon)
	require.NoError(t, err)
	_, err = checkpoint.Load(path)
	assert.NoError(t, err)
}

// TestMergeOfSamplesSetAside merges a sweep with a copy of it from before a disturbed sample was
// replaced.
func TestMergeOfSamplesSetAside(t *testing.T) {
	c := cell.Key{Ctx: 1024, Batch: 64}
	part := func(samples, aside []float64) *checkpoint.Checkpoint {
		r := result(c, noon, samples...)
		r.SetAside = result(c, noon, aside...).Samples
		return &checkpoint.Checkpoint{Version: checkpoint.Version, Sweep: header(cell.Shard{}), Results: []checkpoint.Result{r}}
	}
	dir := save(t, map[string]*checkpoint.Checkpoint{"before": part([]float64{1010, 400}, nil), "after": part([]float64{1010, 1020}, []float64{400})})
	for _, order := range [][]string{{"before", "after"}, {"after", "before"}} {
		m, err := Merge([]string{filepath.Join(dir, order[0]), filepath.Join(dir, order[1])})
		require.NoError(t, err)
		r := m.Checkpoint.Result(c)
		assert.Equal(t, []float64{1010, 1020}, rounded(r.SampleRates()), order)
		assert.Len(t, r.SetAside, 1)
		assert.InDelta(t, 1015, *r.PromptEvalRate, 0.1)
	}
}

// TestMergeOfProbes: the probes and the first prompts of a cell in several parts are kept, each once.
func TestMergeOfProbes(t *testing.T) {
	c := cell.Key{Ctx: 1024, Batch: 64}
	part := func(unprobeable string, ms ...int) *checkpoint.Checkpoint {
		r := result(c, noon, 1010)
		for _, took := range ms {
			cost := time.Millisecond
			r.FirstPrompts = append(r.FirstPrompts, measurement.Sample{PromptEvalCount: 1000, PromptEvalDuration: time.Duration(took) * time.Second})
			r.Probes = append(r.Probes, measurement.Probe{NumBatch: 32, Depth: 200, Tokens: 32, Duration: time.Duration(took) * time.Millisecond, RequestCost: &cost, Timestamp: noon})
		}
		cp := &checkpoint.Checkpoint{Version: checkpoint.Version, Sweep: header(cell.Shard{}), Results: []checkpoint.Result{r}}
		cp.Sweep.Unprobeable = unprobeable
		return cp
	}
	dir := save(t, map[string]*checkpoint.Checkpoint{"one": part("", 9, 17), "other": part("no", 17, 33)})
	m, err := Merge([]string{filepath.Join(dir, "one"), filepath.Join(dir, "other")})
	require.NoError(t, err)
	r := m.Checkpoint.Result(c)
	require.Len(t, r.ProbeRates(), 1)
	assert.InDeltaSlice(t, []float64{4000, 2000, 1000}, r.ProbeRates()[0].Rates, 1e-6)
	assert.Len(t, r.Samples, 1)
	assert.Len(t, r.FirstPrompts, 3)
	assert.Equal(t, "no", m.Checkpoint.Sweep.Unprobeable)
}

func rounded(values []float64) (out []float64) {
	for _, v := range values {
		out = append(out, float64(int(v+0.5)))
	}
	return out
}

func TestMergeReportsMissing(t *testing.T) {
	killed, lone := shard(2, 4), shard(4, 4)
	gone := killed.Results[2].Cell()
	killed.Results = killed.Results[:2]
	killed.Results[1].Samples = killed.Results[1].Samples[:1]
	killed.Results[1].SetRate()
	lone.Sweep.Command = ""
	dir := save(t, map[string]*checkpoint.Checkpoint{"my-1of4": shard(1, 4), "my-2of4": killed, "elsewhere": lone})
	m, err := Merge([]string{dir + "/*"})
	require.NoError(t, err)
	require.Len(t, m.Lacking, 2)
	assert.Equal(t, []cell.Key{gone, killed.Results[1].Cell()}, m.Lacking[0].Cells, "cells with too few samples are missing too")
	assert.Equal(t, "go test -run Sweep -timeout 0 -config my.yaml -repeat=6 -shard=2/4 -out="+dir+"/my-2of4", m.Lacking[0].Command)
	assert.Equal(t, shard(3, 4).Plan(), m.Lacking[1].Cells)
	assert.Contains(t, text(t, m), "Missing: shard 3/4 has no checkpoint, 3 cells: ")

	m, err = Merge([]string{dir + "/my-1of4", dir + "/my-2of4"})
	require.NoError(t, err)
	require.Len(t, m.Lacking, 3)
	assert.Equal(t, "go test -run Sweep -timeout 0 -config my.yaml -repeat=6 -shard=3/4 -out="+dir+"/my-3of4", m.Lacking[1].Command)
	m, err = Merge([]string{dir + "/elsewhere", dir + "/elsewh*"})
	require.NoError(t, err)
	require.Len(t, m.Lacking, 3)
	assert.Equal(t, "go test -run Sweep -timeout 0 -config FILE -shard=1/4", m.Lacking[0].Command)
	_, err = m.Save("", noon)
	assert.EqualError(t, err, "the folders' names have no common stem: name the folder for the merged sweep with -out")
	_, err = m.Save(dir+"/my-1of4", noon)
	assert.ErrorContains(t, err, "is the checkpoint of a sweep, and not a merged one: name another folder with -out")
}

// TestMergeOfServerSettings: settings that a part's log does not show are no difference.
func TestMergeOfServerSettings(t *testing.T) {
	settings := make(map[string]*checkpoint.Checkpoint)
	for i, known := range []map[string]string{nil, {"OLLAMA_KV_CACHE_TYPE": "q8_0"}, nil, {"OLLAMA_KV_CACHE_TYPE": ""}} {
		cp := shard(i+1, 4)
		cp.Sweep.Settings = known
		settings[fmt.Sprint("s", i)] = cp
	}
	dir := save(t, settings)
	merged, err := Merge([]string{filepath.Join(dir, "s[0-2]")})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"OLLAMA_KV_CACHE_TYPE": "q8_0"}, merged.Checkpoint.Sweep.Settings)
	_, err = Merge([]string{filepath.Join(dir, "s*")})
	assert.EqualError(t, err, fmt.Sprintf(`%[1]s/s3 does not belong to %[1]s/s1: OLLAMA_KV_CACHE_TYPE is "unset" here and "q8_0" there`, dir))
}

// TestMergeOfDifferentGrids: cells that only the merged grid has are reported too.
func TestMergeOfDifferentGrids(t *testing.T) {
	grid := func(ctx, batch []int) *checkpoint.Checkpoint {
		cp := &checkpoint.Checkpoint{Version: checkpoint.Version, Sweep: header(cell.Shard{})}
		cp.Sweep.NumCtx, cp.Sweep.NumBatch = ctx, batch
		for _, c := range cp.Plan() {
			cp.Results = append(cp.Results, result(c, noon, 1000))
		}
		return cp
	}
	b := grid([]int{2048}, []int{128, 256})
	b.Results = b.Results[:1]
	dir := save(t, map[string]*checkpoint.Checkpoint{"a": grid([]int{1024}, []int{64, 128}), "b": b})
	m, err := Merge([]string{dir + "/*"})
	require.NoError(t, err)
	require.Len(t, m.Lacking, 2)
	assert.Equal(t, Lacking{From: dir + "/b", Cells: []cell.Key{{Ctx: 2048, Batch: 256}}, Command: "go test -run Sweep -timeout 0 -config my.yaml -repeat=6 -out=" + dir + "/b"}, m.Lacking[0])
	assert.Equal(t, Lacking{Cells: []cell.Key{{Ctx: 1024, Batch: 256}, {Ctx: 2048, Batch: 64}}}, m.Lacking[1])
	assert.Contains(t, text(t, m), "Not planned: 2 cells: num_ctx=1024 with num_batch=256; num_ctx=2048 with num_batch=64: no checkpoint has them in its grid")
}

// TestMergeOfSearches: the result of the search is that of all shards' cells, and cells
// that it did not measure are not missing.
func TestMergeOfSearches(t *testing.T) {
	folders := make(map[string]*checkpoint.Checkpoint)
	for i := range 3 {
		cp := shard(i+1, 4)
		cp.Sweep.Strategy, cp.Sweep.Search = config.StrategyBest, &checkpoint.Answer{Done: i > 0}
		cp.Results = cp.Results[:2]
		folders[fmt.Sprintf("my-%dof4", i+1)] = cp
	}
	dir := save(t, folders)
	m, err := Merge([]string{dir + "/*"})
	require.NoError(t, err)
	require.NotNil(t, m.Checkpoint.Sweep.Search)
	assert.NotEmpty(t, m.Checkpoint.Sweep.Search.Best)
	require.Len(t, m.Lacking, 2)
	assert.Empty(t, m.Lacking[0].Cells)
	assert.Contains(t, text(t, m), "Missing: the search of "+dir+"/my-1of4 is not finished\n  go test ")
	assert.Equal(t, cell.Shard{Index: 4, Count: 4}, m.Lacking[1].Shard)
}
