package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dotsPerMetre reads the resolution of a PNG, which is at a fixed offset.
func dotsPerMetre(t *testing.T, data []byte) (x, y uint32) {
	t.Helper()
	require.Greater(t, len(data), pngHeader+21)
	chunk := data[pngHeader:]
	require.Equal(t, "pHYs", string(chunk[4:8]))
	assert.Equal(t, byte(1), chunk[16], "in metres")
	return binary.BigEndian.Uint32(chunk[8:]), binary.BigEndian.Uint32(chunk[12:])
}

func TestEncodePNG(t *testing.T) {
	img := image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{paper, bestBlue})
	img.SetColorIndex(1, 1, 1)
	var b bytes.Buffer
	require.NoError(t, encodePNG(&b, img, 300))
	x, y := dotsPerMetre(t, b.Bytes())
	assert.Equal(t, []uint32{11811, 11811}, []uint32{x, y})
	decoded, err := png.Decode(&b) // also verifies the checksums of all chunks
	require.NoError(t, err)
	assert.Equal(t, img.Rect, decoded.Bounds())
	assert.Equal(t, bestBlue, decoded.At(1, 1))
}

func TestEncodePNGErrors(t *testing.T) {
	empty := image.NewPaletted(image.Rect(0, 0, 0, 0), color.Palette{paper})
	assert.Error(t, encodePNG(new(bytes.Buffer), empty, 300))
	img := image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{paper})
	assert.ErrorIs(t, encodePNG(closed(t), img, 300), os.ErrClosed)
}

// closed returns a file that can't be written any more.
func closed(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "closed"))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return f
}
