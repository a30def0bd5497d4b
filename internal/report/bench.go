package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
	"gonum.org/v1/gonum/floats/scalar"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// BenchWriter writes samples as lines of the Go benchmark format, which
// benchstat reads:
//
//	BenchmarkSweep/ctx=32768/batch=128 1 1234.56 tokens/s 45.1 gen-tokens/s 91.2 load-sec 18400000000 vram-bytes
//
// The file's configuration stands before the first of them and says only what
// was measured on what: a date or a host name would split every table. A
// figure that is not known is left out of its line.
type BenchWriter struct {
	w      io.Writer
	buf    bytes.Buffer
	lines  *benchfmt.Writer // into buf
	config []benchfmt.Config
	begun  bool
}

// NewBenchWriter returns a writer of the samples of the sweep that h names.
// Operating system and architecture are those of this process. Each sample
// reaches w in one call of Write.
func NewBenchWriter(w io.Writer, h checkpoint.Header) *BenchWriter {
	b := &BenchWriter{w: w}
	b.lines = benchfmt.NewWriter(&b.buf)
	for _, c := range []struct{ key, value string }{
		{"goos", runtime.GOOS},
		{"goarch", runtime.GOARCH},
		{"model", h.Model},
		{"digest", h.Digest},
		{"weights", h.WeightsText()},
		{"quantization", h.Quantization},
		{"ollama", h.OllamaVersion},
		{"gpu", strings.Join(h.GPUs(), ", ")},
		{"driver", h.Driver},
		{"settings", h.SettingsText()},
	} {
		// File is set in a literal because SetConfig marks a key as internal,
		// and internal keys are not written.
		if value := OneLine(c.value); value != "" {
			b.config = append(b.config, benchfmt.Config{Key: c.key, Value: []byte(value), File: true})
		}
	}
	return b
}

// Sample writes the line of one sample of r. It writes nothing for a failed
// cell, nor for a sample without a rate.
func (b *BenchWriter) Sample(r *checkpoint.Result, s measurement.Sample) error {
	rate, ok := s.PromptEvalRate()
	if !ok || r.Failed() {
		return nil
	}
	fields := []string{benchFigure(rate), "tokens/s"}
	if rate, ok := s.EvalRate(); ok {
		fields = append(fields, benchFigure(rate), "gen-tokens/s")
	}
	return b.write(r, fields)
}

// write completes the line of r, whose own figures start with fields.
func (b *BenchWriter) write(r *checkpoint.Result, fields []string) error {
	if load := r.LoadDuration(); load > 0 {
		fields = append(fields, benchFigure(load.Seconds()), "load-sec")
	}
	if r.Size > 0 { // then a SizeVRAM of 0 is known, and not missing
		fields = append(fields, strconv.FormatInt(r.SizeVRAM, 10), "vram-bytes")
	}
	b.buf.Reset()
	err := b.lines.Write(&benchfmt.Result{
		Config: b.config,
		Name:   benchfmt.Name("Sweep/" + r.Cell().String()),
		Iters:  1,
	})
	if err != nil {
		return fmt.Errorf("writing benchmark line: %w", err)
	}
	// The values are added here: the library prints bytes as 1.84e+10.
	text := strings.TrimSuffix(b.buf.String(), "\n") + " " + strings.Join(fields, " ") + "\n"
	if !b.begun {
		if text, err = b.withUnit(text); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(b.w, text); err != nil {
		return fmt.Errorf("writing benchmark line: %w", err)
	}
	b.begun = true
	return nil
}

// withUnit puts the line that gives tokens/s its direction, which benchstat
// does not know of itself, between the configuration and the first sample.
func (b *BenchWriter) withUnit(text string) (string, error) {
	b.buf.Reset()
	err := b.lines.Write(&benchfmt.UnitMetadata{
		UnitMetadataKey: benchfmt.UnitMetadataKey{Unit: "tokens/s", Key: "better"},
		OrigUnit:        "tokens/s",
		Value:           "higher",
	})
	if err != nil {
		return "", fmt.Errorf("writing benchmark unit: %w", err)
	}
	config, sample, _ := strings.Cut(text, "\n\n")
	return config + "\n" + b.buf.String() + sample, nil
}

// WriteBench writes the lines of all samples.
func WriteBench(w io.Writer, cp *checkpoint.Checkpoint) error {
	return NewBenchWriter(w, cp.Sweep).Checkpoint(cp)
}

func (g *grid) writeBench(w io.Writer) error { return WriteBench(w, g.cp) }

// Checkpoint writes the lines of all samples, cell by cell in order of
// measurement. A cell of an older tool, which kept no samples, has one line
// with its rate; a failed cell has none.
func (b *BenchWriter) Checkpoint(cp *checkpoint.Checkpoint) error {
	for i := range cp.Results {
		r := &cp.Results[i]
		for _, s := range r.Samples {
			if err := b.Sample(r, s); err != nil {
				return err
			}
		}
		if len(r.Samples) > 0 || r.Failed() || r.PromptEvalRate == nil {
			continue
		}
		if err := b.write(r, []string{benchFigure(*r.PromptEvalRate), "tokens/s"}); err != nil {
			return err
		}
	}
	return nil
}

// benchFigure gives a figure at least six digits, of which noise leaves three
// or four, without trailing zeros. The figure is positive.
func benchFigure(x float64) string {
	decimals := max(2, 5-int(math.Floor(math.Log10(x))))
	return strconv.FormatFloat(scalar.Round(x, decimals), 'f', -1, 64)
}
