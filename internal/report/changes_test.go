package report

import (
	"bytes"
	"image/color"
	"image/png"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/picture"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

func TestWriteChanges(t *testing.T) {
	race.SkipSequential(t)
	class := measurement.OutOfGPUMemory
	c := Changes{
		Title: "old → new", Text: "4 compared", NumCtx: []int{512, 1024}, NumBatch: []int{64, 128, 256},
		Ratio:       map[cell.Key]float64{{Ctx: 512, Batch: 64}: -0.1, {Ctx: 512, Batch: 128}: 0, {Ctx: 1024, Batch: 64}: 0.1, {Ctx: 1024, Batch: 128}: 0.02},
		Significant: map[cell.Key]bool{{Ctx: 512, Batch: 64}: true},
		Failed:      []checkpoint.Result{{NumCtx: 1024, NumBatch: 256, Error: &class}},
	}
	var b bytes.Buffer
	require.NoError(t, WriteChanges(&b, c))
	img, err := png.Decode(&b)
	require.NoError(t, err)
	found := colorsIn(img)
	cell := img.Bounds().Dx() * img.Bounds().Dy() / 16 // smaller than a cell in the picture
	for name, c := range map[string]color.RGBA{
		"slower": picture.Change.Shade(0), "unchanged": picture.Change.Shade(0.5), "faster": picture.Change.Shade(1),
		"failed": failedTint, "not compared": missingGrey,
	} {
		assert.Greater(t, found[c], cell/2, name)
	}
	assert.Positive(t, found[failedRed])

	assert.ErrorContains(t, WriteChanges(&b, Changes{}), "drawing changes: ")
	c.Ratio = nil
	assert.NoError(t, WriteChanges(&b, c), "no cell is comparable")
	disk := fullDisk(0)
	assert.ErrorIs(t, WriteChanges(&disk, c), errFull)
}
