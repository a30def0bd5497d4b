package picture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"gonum.org/v1/plot/vg"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

func TestFailureFitsItsCell(t *testing.T) {
	cells := []vg.Point{{X: 310, Y: 70}, {X: 54, Y: 20}, {X: 50, Y: 18}, {X: 45, Y: 300}}
	for _, class := range []measurement.Class{
		measurement.OutOfGPUMemory, measurement.ResourceAllocation, measurement.OutOfSystemMemory, measurement.Timeout, measurement.NoFigures,
		measurement.RunnerCrashed, measurement.PromptTruncated, measurement.ContextClamped, measurement.ModelError,
	} {
		for _, cell := range cells {
			t.Run(fmt.Sprintf("%s/%.0fx%.0f", class, cell.X, cell.Y), func(t *testing.T) {
				l := layOutFailure(string(class), cell.X, cell.Y, 13)
				assert.GreaterOrEqual(t, l.font.Size, vg.Length(4.25), "legible")
				assert.Equal(t, string(class), strings.Join(l.lines, " "))
				assertFits(t, l, cell)
			})
		}
	}
}

func TestFailureOfAnyLengthFits(t *testing.T) {
	cell := vg.Point{X: 54, Y: 20}
	l := layOutFailure(strings.Repeat("unexpected ", 40), cell.X, cell.Y, 13)
	assert.Len(t, l.lines, 1)
	assert.True(t, strings.HasSuffix(l.lines[0], "…"))
	assertFits(t, l, cell)
}

// assertFits checks that mark and text lie within the cell's margins.
func assertFits(t *testing.T, l failureLayout, cell vg.Point) {
	t.Helper()
	var w vg.Length
	for _, line := range l.lines {
		w = max(w, width(l.font, line))
	}
	h := l.font.Size * lineHeight * vg.Length(len(l.lines))
	if l.horizontal {
		w += l.mark + l.gap
	} else {
		h += l.mark + l.gap
	}
	assert.LessOrEqual(t, w, cell.X-2*sideMargin)
	assert.LessOrEqual(t, h, cell.Y-2*endMargin)
}
