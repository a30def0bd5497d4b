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
// The configuration lines before the first sample identify the model, the
// server and the hardware only: a date or a host name would split every table.
// An unknown figure is left out of its line.
type BenchWriter struct {
	w      io.Writer
	buf    bytes.Buffer
	lines  *benchfmt.Writer // into buf
	config []benchfmt.Config
	begun  bool
}

// NewBenchWriter returns a writer for samples of the sweep with the header h.
// goos and goarch are those of this process. Each sample is written with one
// call of w.Write.
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
		{"fixed", h.FixedText()},
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

// write writes a line of r: fields, then the figures of its load.
func (b *BenchWriter) write(r *checkpoint.Result, fields []string) error {
	if load := r.LoadDuration(); load > 0 {
		fields = append(fields, benchFigure(load.Seconds()), "load-sec")
	}
	if r.Size > 0 { // otherwise a SizeVRAM of 0 means unknown
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

// withUnit inserts a unit metadata line between the configuration and the first
// sample, because benchstat does not know that a higher tokens/s is better.
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

// WriteBench writes the samples of a checkpoint in the Go benchmark format (see
// [BenchWriter]).
func WriteBench(w io.Writer, cp *checkpoint.Checkpoint) error {
	return NewBenchWriter(w, cp.Sweep).Checkpoint(cp)
}

func (g *grid) writeBench(w io.Writer) error { return WriteBench(w, g.cp) }

// Checkpoint writes the lines of all samples, cell by cell in order of
// measurement. A cell without samples, as the older tool saved it, gets one
// line with its rate; a failed cell gets none.
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

// benchFigure formats a positive figure with at least six digits, of which three
// or four are above the noise, and without trailing zeros.
func benchFigure(x float64) string {
	decimals := max(2, 5-int(math.Floor(math.Log10(x))))
	return strconv.FormatFloat(scalar.Round(x, decimals), 'f', -1, 64)
}
