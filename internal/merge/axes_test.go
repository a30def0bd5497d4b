package merge

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// withAxes returns the checkpoint of a sweep with an option and a setting of the server, each cell measured.
func withAxes(shard cell.Shard, threads ...string) *checkpoint.Checkpoint {
	h := header(shard)
	h.NumCtx, h.NumBatch = []int{1024, 2048}, []int{64, 128}
	h.Axes = []cell.SettingAxis{{Name: "num_thread", Values: threads}, {Name: "flash_attention", Values: []string{"on", "off"}}}
	cp := &checkpoint.Checkpoint{Version: h.Format(), Sweep: h}
	for i, c := range cp.Plan() {
		r := result(c, h.Started.Add(time.Duration(i)*time.Minute), 1000+float64(i), 1001+float64(i))
		r.SetCell(c)
		cp.Results = append(cp.Results, r)
	}
	return cp
}

// TestMergeOfShardsWithAxes: the shards of a grid with more axes are the whole grid, and what one of them lacks
// is named with its command.
func TestMergeOfShardsWithAxes(t *testing.T) {
	folders := make(map[string]*checkpoint.Checkpoint)
	for _, shard := range []cell.Shard{{Index: 1, Count: 2}, {Index: 2, Count: 2}} {
		folders["my"+shard.Suffix()] = withAxes(shard, "1", "2")
		assert.Len(t, folders["my"+shard.Suffix()].Results, 8)
	}
	dir := save(t, folders)
	m, err := Merge([]string{filepath.Join(dir, "my-*")})
	require.NoError(t, err)
	assert.Empty(t, m.Lacking)
	assert.Empty(t, m.Pooled)
	whole := m.Checkpoint.Plan()
	require.Len(t, whole, 16)
	for _, c := range whole {
		require.NotNil(t, m.Checkpoint.Result(c), "%v", c)
	}
	path, err := m.Save("", noon)
	require.NoError(t, err)
	read, err := checkpoint.Load(path)
	require.NoError(t, err)
	assert.Equal(t, m.Checkpoint, read)
	assert.Equal(t, checkpoint.VersionAxes, read.Version)

	second := folders["my-2of2"]
	lacks := second.Results[3].Cell()
	second.Results = append(second.Results[:3:3], second.Results[4:]...)
	dir = save(t, folders)
	m, err = Merge([]string{filepath.Join(dir, "my-*")})
	require.NoError(t, err)
	assert.Equal(t, []Lacking{{Shard: cell.Shard{Index: 2, Count: 2}, From: dir + "/my-2of2", Cells: []cell.Key{lacks}, Command: "go test -run Sweep -timeout 0 -config my.yaml -repeat=6 -shard=2/2 -out=" + dir + "/my-2of2"}}, m.Lacking)
	assert.Contains(t, text(t, m), "lacks samples of 1 cells: "+cell.Names([]cell.Key{lacks})+"\n")

	m, err = Merge([]string{filepath.Join(dir, "my-1of2")})
	require.NoError(t, err)
	require.Len(t, m.Lacking, 1)
	assert.Len(t, m.Lacking[0].Cells, 8)
	assert.Contains(t, text(t, m), "Missing: shard 2/2 has no checkpoint, 8 cells: ")
}

// TestMergeOfOtherValues: two sweeps that differ in the values of an axis make one with the values of both;
// samples of a cell that both have are pooled. Sweeps with other axes do not belong together.
func TestMergeOfOtherValues(t *testing.T) {
	a, b := withAxes(cell.Shard{}, "1", "2"), withAxes(cell.Shard{}, "2", "4")
	for i := range b.Results { // measured later
		b.Results[i] = result(b.Results[i].Cell(), noon.Add(time.Hour), 1000.5, 1001.5)
		b.Results[i].SetCell(b.Plan()[i])
	}
	dir := save(t, map[string]*checkpoint.Checkpoint{"a": a, "b": b})
	m, err := Merge([]string{dir + "/*"})
	require.NoError(t, err)
	assert.Equal(t, []cell.SettingAxis{{Name: "num_thread", Values: []string{"1", "2", "4"}}, {Name: "flash_attention", Values: []string{"on", "off"}}}, m.Checkpoint.Sweep.Axes)
	assert.Len(t, m.Checkpoint.Plan(), 24)
	assert.Len(t, m.Checkpoint.Results, 24)
	assert.Empty(t, m.Lacking)
	assert.Empty(t, m.Checkpoint.OffGrid())
	require.Len(t, m.Pooled, 8)
	for _, c := range m.Pooled {
		v, _ := c.Settings.Value("num_thread")
		assert.Equal(t, "2", v)
		assert.Len(t, m.Checkpoint.Result(c).Samples, 4)
	}

	// Values of two axes that differ: the cells that neither has in its grid are reported.
	b = withAxes(cell.Shard{}, "4")
	b.Sweep.Axes[1].Values = []string{"auto"}
	b.Results = nil
	for _, c := range b.Plan() {
		r := result(c, noon, 1000)
		r.SetCell(c)
		b.Results = append(b.Results, r)
	}
	dir = save(t, map[string]*checkpoint.Checkpoint{"a": a, "b": b})
	m, err = Merge([]string{dir + "/*"})
	require.NoError(t, err)
	require.Len(t, m.Lacking, 1)
	assert.Len(t, m.Lacking[0].Cells, 36-16-4)
	assert.Contains(t, text(t, m), "Not planned: 16 cells: ")

	two := &checkpoint.Checkpoint{Version: checkpoint.Version, Sweep: header(cell.Shard{})}
	dir = save(t, map[string]*checkpoint.Checkpoint{"a": a, "b": two})
	_, err = Merge([]string{dir + "/*"})
	require.Error(t, err)
	assert.True(t, strings.HasSuffix(err.Error(), `axes is "" here and "num_thread, flash_attention" there`), err.Error())
}
