package picture

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"math"
)

// pngHeader is the length of a PNG's signature and its first chunk, IHDR, which
// has a length, a name and a checksum.
const pngHeader = 8 + 4 + 4 + 13 + 4

// encodePNG writes the image with its resolution. It prefers speed to size: the
// images have large plain areas and compress well anyway.
func encodePNG(w io.Writer, img image.Image, dpi int) error {
	var buf bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&buf, img); err != nil {
		return err
	}
	data := buf.Bytes()
	for _, part := range [][]byte{data[:pngHeader], resolutionChunk(dpi), data[pngHeader:]} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// resolutionChunk returns the pHYs chunk of the PNG specification, which image/png
// does not write: pixels per metre, horizontally and vertically. Printers and word
// processors derive the picture's size from it.
func resolutionChunk(dpi int) []byte {
	perMetre := uint32(math.Round(float64(dpi) / 0.0254))
	chunk := binary.BigEndian.AppendUint32(nil, 9) // length of the data
	chunk = append(chunk, "pHYs"...)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = append(chunk, 1) // the unit is the metre
	return binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
}
