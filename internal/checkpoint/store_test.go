package checkpoint

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

func measured(ctx, batch int, rates ...float64) Result {
	r := Result{NumCtx: ctx, NumBatch: batch, Timestamp: noon}
	for _, v := range rates {
		r.Samples = append(r.Samples, sample(v))
	}
	r.SetRate()
	return r
}

func openStore(t testing.TB, dir string, h Header) *Store {
	t.Helper()
	s, err := OpenStore(dir, h, false, noon)
	require.NoError(t, err)
	return s
}

// TestStoreKeepsDevices: devices stay known when a later run finds none in the log, as after it was rotated.
func TestStoreKeepsDevices(t *testing.T) {
	dir := t.TempDir()
	known := Header{Model: "m", Devices: []string{"A (driver 12.3)"}}
	require.NoError(t, openStore(t, dir, Header{Model: "m"}).Put(measured(1, 1, 10)))
	require.NoError(t, openStore(t, dir, known).Put(measured(2, 1, 10)))
	require.NoError(t, openStore(t, dir, Header{Model: "m"}).Put(measured(3, 1, 10)))
	cp, err := Load(filepath.Join(dir, FileName))
	require.NoError(t, err)
	assert.Equal(t, known.Devices, cp.Sweep.Devices)
	_, err = OpenStore(dir, Header{Model: "m", Devices: []string{parse.CPU}}, false, noon)
	assert.ErrorContains(t, err, `devices is "A (driver 12.3)" there and "cpu" here`)
}

// TestStoreKeepsSettings: a server with other settings makes another sweep, and a log without them
// is no difference.
func TestStoreKeepsSettings(t *testing.T) {
	dir := t.TempDir()
	of := func(settings map[string]string) Header { return Header{Model: "m", Settings: settings} }
	known := map[string]string{"OLLAMA_KV_CACHE_TYPE": "", "OLLAMA_NUM_PARALLEL": "1", "LLAMA_ARG_FIT": ""}
	require.NoError(t, openStore(t, dir, of(known)).Put(measured(1, 1, 10)))
	require.NoError(t, openStore(t, dir, of(nil)).Put(measured(2, 1, 10)))
	require.NoError(t, openStore(t, dir, of(known)).Put(measured(3, 1, 10)))
	cp, err := Load(filepath.Join(dir, FileName))
	require.NoError(t, err)
	assert.Equal(t, known, cp.Sweep.Settings)
	for name, want := range map[string]string{
		"OLLAMA_KV_CACHE_TYPE": `settings.OLLAMA_KV_CACHE_TYPE is "unset" there and "x" here`,
		"OLLAMA_NUM_PARALLEL":  `settings.OLLAMA_NUM_PARALLEL is "1" there and "x" here`,
		"LLAMA_ARG_FIT":        `settings.LLAMA_ARG_* is "unset" there and "LLAMA_ARG_FIT=x" here`,
		"LLAMA_ARG_CACHE_RAM":  `settings.LLAMA_ARG_* is "unset" there and "LLAMA_ARG_CACHE_RAM=x" here`,
	} {
		other := maps.Clone(known)
		other[name] = "x"
		_, err = OpenStore(dir, of(other), false, noon)
		assert.ErrorContains(t, err, want)
	}
	assert.Empty(t, of(nil).SettingsText())
	assert.Equal(t, "LLAMA_ARG_FIT=off OLLAMA_NUM_PARALLEL=1", of(map[string]string{"OLLAMA_NUM_PARALLEL": "1", "LLAMA_ARG_FIT": "off", "OLLAMA_FLASH_ATTENTION": "false", "OLLAMA_GPU_OVERHEAD": "0"}).SettingsText())
}

func TestStoreKeepsResults(t *testing.T) {
	dir := t.TempDir()
	h := Header{Model: "m", NumCtx: []int{1, 2}}
	s := openStore(t, dir, h)
	assert.NoFileExists(t, s.Path(), "nothing is written before the first result")
	require.NoError(t, s.Put(measured(1, 1, 10)))
	require.NoError(t, s.Put(measured(2, 1, 20)))
	require.NoError(t, s.Put(measured(1, 1, 10, 30)))

	cp, err := Load(s.Path())
	require.NoError(t, err)
	assert.Equal(t, s.Checkpoint(), cp)
	require.Len(t, cp.Results, 2, "a cell has one entry, in the order of first measurement")
	assert.InDelta(t, 20, *cp.Results[0].PromptEvalRate, 1e-6)

	h.NumCtx = []int{1, 2, 3}
	again, err := OpenStore(dir, h, false, noon.Add(time.Hour))
	require.NoError(t, err)
	assert.Equal(t, noon, again.Checkpoint().Sweep.Started, "the first start is kept")
	assert.Equal(t, []int{1, 2, 3}, again.Checkpoint().Sweep.NumCtx, "the newest grid is used")
	before, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	assert.NotContains(t, string(before), "3,\n", "opening does not write")
	got, ok := again.Result(cell.Key{Ctx: 2, Batch: 1})
	assert.True(t, ok)
	assert.InDelta(t, 20, *got.PromptEvalRate, 1e-6)
	_, ok = again.Result(cell.Key{Ctx: 9, Batch: 9})
	assert.False(t, ok)
	leftovers, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	assert.Empty(t, leftovers, "no temporary file is left")
}

// TestStoreKeepsProbes: a store that is opened again has the probes, and why there can't be others.
func TestStoreKeepsProbes(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Header{Model: "m"})
	r := measured(1000, 100, 10)
	r.Probes = []measurement.Probe{probe(64, 0.5)}
	s.SetUnprobeable("the server keeps no prompts")
	require.NoError(t, s.Put(r))
	again := openStore(t, dir, Header{Model: "m"})
	got, ok := again.Result(r.Cell())
	require.True(t, ok)
	assert.Equal(t, r.Probes, got.Probes)
	assert.Equal(t, "the server keeps no prompts", again.Checkpoint().Sweep.Unprobeable)
	assert.Equal(t, r.PromptEvalRate, got.PromptEvalRate)
}

func TestStoreRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"another sweep":            {`{"version": 1, "sweep": {"model": "other"}}`, `belongs to another sweep: model is "other" there and "m" here; use another -out folder, or start anew with -fresh`},
		"damaged":                  {`{"version": 1, `, "repair or move the file, or start anew with -fresh"},
		"an older tool's of other": {`{"metadata": {"model": "other"}, "results": []}`, `model is "other" there and "m" here`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, FileName)
			require.NoError(t, os.WriteFile(file, []byte(test.text), 0o644))
			_, err := OpenStore(dir, Header{Model: "m"}, false, noon)
			assert.ErrorContains(t, err, test.want)
			assert.ErrorContains(t, err, file)
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, test.text, string(data), "the file is unchanged")
		})
	}
}

func TestStoreFreshPutsAside(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, FileName)
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o644))
	s, err := OpenStore(dir, Header{}, true, noon)
	require.NoError(t, err)
	assert.NoFileExists(t, file)
	aside := filepath.Join(dir, "benchmark_results-20260301-120000.000.json")
	assert.FileExists(t, aside)
	assert.Contains(t, s.Note, aside)

	_, err = OpenStore(t.TempDir(), Header{}, true, noon)
	assert.NoError(t, err, "without a file there is nothing to move aside")
}

func TestStoreContinuesAnOlderTool(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, FileName)
	const older = `{"metadata": {"model": "m"}, "results": [{"num_ctx": 1, "num_batch": 1, "prompt_eval_rate": 78.8}]}`
	require.NoError(t, os.WriteFile(file, []byte(older), 0o644))
	s := openStore(t, dir, Header{Model: "m", Runner: "cli"})
	assert.Contains(t, s.Note, "was written by an older tool")
	require.NoError(t, s.Put(measured(2, 1, 20)))

	kept, err := os.ReadFile(filepath.Join(dir, "benchmark_results-older-tool-20260301-120000.json"))
	require.NoError(t, err)
	assert.Equal(t, older, string(kept))
	cp, err := Load(file)
	require.NoError(t, err)
	assert.False(t, cp.OlderTool)
	assert.Equal(t, "cli", cp.Sweep.Runner)
	require.Len(t, cp.Results, 2)
	assert.Equal(t, 78.8, *cp.Results[0].PromptEvalRate)
	assert.NotEmpty(t, cp.Results[0].Warnings)
}

// TestStoreSurvivesAFailedSave saves into a missing folder, which fails as on a
// full disk or a read-only mount.
func TestStoreSurvivesAFailedSave(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Header{})
	require.NoError(t, s.Put(measured(1, 1, 10)))
	s.path = filepath.Join(dir, "gone", FileName)
	err := s.Put(measured(2, 1, 10))
	assert.ErrorContains(t, err, "saving checkpoint "+`"`+s.path)
	cp, err := Load(filepath.Join(dir, FileName))
	require.NoError(t, err)
	assert.Len(t, cp.Results, 1)
}

// benchmarkPut measures the cost of saving a sample: encoding, a line of the journal with its sync,
// and from time to time the whole file.
func benchmarkPut(b *testing.B, cells int) {
	s, err := OpenStore(b.TempDir(), Header{Model: "m"}, false, noon)
	require.NoError(b, err)
	path := s.path
	s.path = filepath.Join(filepath.Dir(path), "gone", FileName) // filling in without saving
	for i := range cells - 1 {
		require.Error(b, s.Put(benchmarked(i)))
	}
	s.path = path
	before := written(b)
	for b.Loop() {
		if err := s.Put(benchmarked(cells - 1)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(written(b)-before)/float64(b.N), "written-bytes/op")
	info, err := os.Stat(path)
	require.NoError(b, err)
	b.ReportMetric(float64(info.Size()), "file-bytes")
}

// benchmarked returns the result of the i-th cell.
func benchmarked(i int) Result {
	r := measured(1+i/100, 1+i%100, 4321.5)
	r.Warmup = &measurement.Sample{PromptEvalCount: 50, PromptEvalDuration: time.Second, LoadDuration: 90 * time.Second, TotalDuration: 91 * time.Second}
	r.ContextLength, r.Size, r.SizeVRAM = 4096, 1<<34, 1<<34
	return r
}

// written returns how many bytes this process has written, as the system counts them.
func written(b *testing.B) int {
	b.Helper()
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Skip("this system does not count the bytes written")
	}
	_, text, _ := strings.Cut(string(data), "wchar: ")
	n, err := strconv.Atoi(strings.Fields(text)[0])
	require.NoError(b, err)
	return n
}

func BenchmarkPut600(b *testing.B)    { benchmarkPut(b, 600) }
func BenchmarkPut10000(b *testing.B)  { benchmarkPut(b, 10_000) }
func BenchmarkPut100000(b *testing.B) { benchmarkPut(b, 100_000) }

// BenchmarkGrow saves a sample of each cell of a sweep: bytes and time per save must not grow with
// the number of cells.
func BenchmarkGrow(b *testing.B) {
	for _, cells := range []int{600, 2000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("cells=%d", cells), func(b *testing.B) {
			before := written(b)
			for b.Loop() {
				s := openStore(b, b.TempDir(), Header{Model: "m"})
				for i := range cells {
					require.NoError(b, s.Put(benchmarked(i)))
				}
			}
			saves := float64(b.N * cells)
			b.ReportMetric(float64(written(b)-before)/saves, "written-bytes/save")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/saves, "ns/save")
		})
	}
}

// TestStoreRestores: a checkpoint that is removed while the sweep runs is not reported as intact, and is
// written again from memory.
func TestStoreRestores(t *testing.T) {
	begin := func() (*Store, string) {
		dir := filepath.Join(t.TempDir(), "out")
		require.NoError(t, os.Mkdir(dir, 0o755))
		s := openStore(t, dir, Header{Model: "m"})
		restored, err := s.Restore(noon)
		require.NoError(t, err)
		assert.Empty(t, restored, "nothing was saved yet")
		assert.NoFileExists(t, s.Path())
		require.NoError(t, s.Put(measured(1, 1, 10)))
		return s, dir
	}
	requireWhole := func(s *Store) {
		t.Helper()
		cp, err := Load(s.Path())
		require.NoError(t, err)
		assert.Equal(t, s.Checkpoint(), cp)
	}

	s, dir := begin()
	restored, err := s.Restore(noon)
	require.NoError(t, err)
	assert.Empty(t, restored)
	require.NoError(t, os.RemoveAll(dir))
	err = s.Put(measured(2, 1, 20))
	assert.ErrorContains(t, err, "its folder is gone: ")
	assert.NotContains(t, err.Error(), "intact")
	restored, err = s.Restore(noon)
	require.NoError(t, err)
	assert.Equal(t, s.Path(), restored)
	requireWhole(s)

	s, _ = begin()
	require.NoError(t, os.Remove(s.Path()))
	restored, err = s.Restore(noon)
	require.NoError(t, err)
	assert.Equal(t, s.Path(), restored, "the file alone")
	requireWhole(s)

	_, dir = begin()
	s = openStore(t, dir, Header{Model: "m"})
	require.NoError(t, os.RemoveAll(dir))
	restored, err = s.Restore(noon)
	require.NoError(t, err)
	assert.Equal(t, s.Path(), restored, "the results of an earlier run")
	requireWhole(s)

	s, dir = begin()
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.WriteFile(dir, nil, 0o644))
	restored, err = s.Restore(noon)
	assert.ErrorContains(t, err, "making the folder of checkpoint ")
	assert.Equal(t, s.Path(), restored, "a file is in place of the folder")
}
