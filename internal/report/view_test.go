package report

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
)

// TestOtherAxes checks all that -x and -y change, on a sweep with several axes and on one with two.
func TestOtherAxes(t *testing.T) {
	g := newGrid(checkpoints.Settings())
	require.NoError(t, g.show("num_gpu", "flash_attention"))
	var text, table strings.Builder
	require.NoError(t, g.printTable(&text, g.stats()))
	golden.Equal(t, "other_axes.txt", text.String())
	require.NoError(t, g.writeTable(&table))
	golden.Equal(t, "other_axes.csv", table.String())
	p := g.picture(nil)
	assert.Equal(t, []string{"auto", "20"}, p.Columns)
	assert.Equal(t, "flash_attention", p.YLabel)
	require.Len(t, p.Panels, 4)
	assert.Equal(t, "num_ctx=2048, num_batch=512", p.Panels[1].Title)
	data := g.pageData(g.stats(), nil)
	assert.Equal(t, cell.SettingAxis{Name: "num_batch", Values: []string{"256", "512"}}, data.View.Rest[1])
	assert.Equal(t, "num_ctx=2048, num_batch=256, num_gpu=20, flash_attention=on", data.Cells[8].Text[0])

	g = newGrid(checkpoints.Mixed())
	require.NoError(t, g.show("num_batch", ""))
	text.Reset()
	require.NoError(t, g.printTable(&text, g.stats()))
	assert.Contains(t, text.String(), "         num_batch\nnum_ctx    128     384     640     896\n    512 1000.0  1250.0       -       -\n")
}

func TestUnknownAxes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	for o, want := range map[Options]string{
		{X: "num_gpus"}:              `the sweep has no axis "num_gpus": choose one of num_ctx, num_batch, num_gpu, flash_attention`,
		{Y: "num_thread"}:            `the sweep has no axis "num_thread": choose one of num_ctx, num_batch, num_gpu, flash_attention`,
		{X: "num_gpu", Y: "num_gpu"}: "num_gpu can't run across and down: choose another of num_ctx, num_batch, num_gpu, flash_attention",
	} {
		o.Dir = dir
		var text strings.Builder
		assert.EqualError(t, Make(&text, checkpoints.Settings(), o), want)
		assert.Empty(t, text.String())
		assert.NoDirExists(t, dir)
	}
}

// TestBestOfAPlace checks what a place shows that several cells share.
func TestBestOfAPlace(t *testing.T) {
	cp := checkpoints.Planned([]int{1024, 2048}, []int{256, 2048})
	values := strings.Split("a b c d e f g h i j k l m", " ")
	cp.Sweep.Axes = []cell.SettingAxis{{Name: "SETTING", Values: values}}
	key := func(value string) cell.Key {
		return cell.Key{Ctx: 1024, Batch: 256}.With("SETTING", value)
	}
	place := func() cell.Key { return newGrid(cp).tables()[0].cell(0, 0) }
	assert.Equal(t, key("a"), place(), "nothing is measured")
	class := measurement.Timeout
	checkpoints.AddCell(cp, key("a")).Error = &class
	assert.Equal(t, key("b"), place(), "one failed, others are to come")
	for _, v := range values[1:] {
		checkpoints.AddCell(cp, key(v)).Error = &class
	}
	assert.Equal(t, key("a"), place(), "all failed")
	cp.Results[3], cp.Results[7] = checkpoint.NewResult(key("d")), checkpoint.NewResult(key("h"))
	slow, fast := 1000.0, 1250.0
	cp.Results[3].PromptEvalRate, cp.Results[7].PromptEvalRate = &slow, &fast
	assert.Equal(t, key("h"), place())
	at, _ := newGrid(cp).at(newGrid(cp).tables()[0].cell(0, 1))
	assert.Equal(t, leftOut, at)
}
