package sweep

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// Version is the checkpoint format that this package writes.
const Version = 1

// FileName is the checkpoint's name in a sweep's out folder.
const FileName = "benchmark_results.json"

// Checkpoint is a sweep as far as it has come: the only truth, of which every
// report is a function.
type Checkpoint struct {
	Version int    `json:"version"`
	Sweep   Header `json:"sweep"`
	// Results are in order of measurement, one per cell.
	Results []Result `json:"results"`
	// Remeasured holds what was measured beside the plan, in order: the reference
	// cell, the leading cells again, the baseline.
	Remeasured []Remeasured `json:"remeasured,omitempty"`

	// OlderTool says that the file was in the form of an older tool, which
	// names little of the sweep. Such a file is never written again.
	OlderTool bool `json:"-"`
}

// Header says what was swept, and on what. Two sweeps whose headers differ in
// a field that Differs compares can't share a checkpoint.
type Header struct {
	Model           string    `json:"model"`
	Digest          string    `json:"digest,omitempty"` // of the base model's manifest, as `ollama list` shows it
	Quantization    string    `json:"quantization,omitempty"`
	ModelfileSHA256 string    `json:"modelfile_sha256,omitempty"` // of the template, where there is one
	Modelfile       string    `json:"modelfile,omitempty"`        // the template, with the names of files made absolute
	PromptSHA256    string    `json:"prompt_sha256,omitempty"`
	NumPredict      int       `json:"num_predict,omitempty"`
	Runner          string    `json:"runner,omitempty"`
	OllamaVersion   string    `json:"ollama_version,omitempty"`
	GPU             []string  `json:"gpu,omitempty"` // names, where the GPUs are local
	Driver          string    `json:"driver,omitempty"`
	NumCtx          []int     `json:"num_ctx,omitempty"`
	NumBatch        []int     `json:"num_batch,omitempty"`
	Shard           Shard     `json:"shard,omitzero"` // the part of the grid that is to be measured
	Started         time.Time `json:"started,omitzero"`

	// Strategy is that of a search, empty for every cell; Prune says that cells
	// which need more memory than one that ran out of it are passed over.
	Strategy string `json:"strategy,omitempty"`
	Prune    bool   `json:"prune,omitempty"`
	// Search is what the search has found as far as it has come; nil without one.
	Search *Answer `json:"search,omitempty"`

	// Sizing is what was learned of the prompt's length; zero before the first
	// load.
	Sizing Sizing `json:"prompt_sizing,omitzero"`
	// Warnings are about the machine as it was before the first cell.
	Warnings []string `json:"warnings,omitempty"`
}

// Differs names the first field in which two headers belong to different
// sweeps, with both values, and is empty when they belong together. The grid, the
// strategy and the start may differ: a sweep can grow, and other's search goes on
// with what any sweep began. So may what an older tool did not write down.
func (h Header) Differs(other Header) string {
	for _, f := range []struct{ name, a, b string }{
		{"model", h.Model, other.Model},
		{"digest", h.Digest, other.Digest},
		{"modelfile_sha256", h.ModelfileSHA256, other.ModelfileSHA256},
		{"prompt_sha256", h.PromptSHA256, other.PromptSHA256},
		{"num_predict", fmt.Sprint(h.NumPredict), fmt.Sprint(other.NumPredict)},
		{"runner", h.Runner, other.Runner},
		{"ollama_version", h.OllamaVersion, other.OllamaVersion},
		{"gpu", fmt.Sprint(h.GPU), fmt.Sprint(other.GPU)},
		{"driver", h.Driver, other.Driver},
		{"shard", h.Shard.String(), other.Shard.String()},
	} {
		if f.name == "shard" && other.Strategy != "" {
			continue // what another shard knows is of use to a search
		}
		if f.a != f.b {
			return fmt.Sprintf("%s is %q there and %q here", f.name, f.a, f.b)
		}
	}
	return ""
}

// Result is what is known of one cell: samples, or an error, or both when the
// cell failed after its first sample.
type Result struct {
	NumCtx   int `json:"num_ctx"`
	NumBatch int `json:"num_batch"`
	// PromptEvalRate is the median of the samples in tokens per second, nil for
	// a failed cell.
	PromptEvalRate *float64  `json:"prompt_eval_rate"`
	Timestamp      time.Time `json:"timestamp,omitzero"` // of the newest change

	Error  *parse.Class `json:"error"`            // nil for a measured cell
	Detail string       `json:"detail,omitempty"` // the server's own words

	Samples []parse.Sample `json:"samples,omitempty"`
	// Warmup holds the first load's own short prompt, which is not a sample. Later
	// loads, of other rounds or after an end in between, differ in nothing but time.
	Warmup *parse.Sample `json:"warmup,omitempty"`

	ContextLength int   `json:"context_length,omitempty"` // tokens, as the server says
	Size          int64 `json:"size,omitempty"`           // bytes of the loaded model
	SizeVRAM      int64 `json:"size_vram,omitempty"`      // bytes of it in GPU memory
	// Settings is SettingsVerified or SettingsAsked, empty where an older tool
	// measured.
	Settings string        `json:"settings,omitempty"`
	InForce  parse.InForce `json:"in_force,omitzero"` // what the server's log says
	Retries  int           `json:"retries,omitempty"` // tries that failed for want of memory, or crashed
	Warnings []string      `json:"warnings,omitempty"`
}

// The values of Result.Settings: num_ctx and num_batch were read from the
// server's log, or it was not to be read.
const (
	SettingsVerified = "verified"
	SettingsAsked    = "as asked"
)

// Purpose is why a cell was measured beside the plan.
type Purpose string

// The purposes.
const (
	Reference Purpose = "reference" // the same cell every so often, for the drift
	Confirm   Purpose = "confirm"   // a leading cell again, in turns with the others
	Baseline  Purpose = "baseline"  // the server's own num_batch, in turns with the recommended cell
)

// Remeasured is a load of a cell beside the plan and its samples. A NumBatch of 0
// is the server's own choice.
type Remeasured struct {
	Purpose Purpose `json:"purpose"`
	Result
}

// Cell returns the cell that r belongs to.
func (r *Result) Cell() Cell { return Cell{r.NumCtx, r.NumBatch} }

// Failed reports whether the cell could not be measured.
func (r *Result) Failed() bool { return r.Error != nil }

// LoadDuration returns the first load's duration: the warm-up's own, or the
// first sample's where a load had no warm-up; zero when not known.
func (r *Result) LoadDuration() time.Duration {
	switch {
	case r.Warmup != nil:
		return r.Warmup.LoadDuration
	case len(r.Samples) > 0:
		return r.Samples[0].LoadDuration
	}
	return 0
}

// SampleRates returns the prompt eval rate of each sample, in tokens per second;
// none for an older tool's result, which has no samples.
func (r *Result) SampleRates() []float64 {
	var rates []float64
	for _, s := range r.Samples {
		if v, ok := s.PromptEvalRate(); ok {
			rates = append(rates, v)
		}
	}
	return rates
}

// setRate makes PromptEvalRate the median of the samples.
func (r *Result) setRate() {
	r.PromptEvalRate = nil
	rates := r.SampleRates()
	if r.Failed() || len(rates) == 0 {
		return
	}
	median := verdict.Median(rates)
	r.PromptEvalRate = &median
}

// Result returns what is known of the cell, or nil.
func (cp *Checkpoint) Result(c Cell) *Result {
	for i := range cp.Results {
		if cp.Results[i].Cell() == c {
			return &cp.Results[i]
		}
	}
	return nil
}

// ByCell returns the results by their cells. They are the checkpoint's own.
func (cp *Checkpoint) ByCell() map[Cell]*Result {
	results := make(map[Cell]*Result, len(cp.Results))
	for i := range cp.Results {
		results[cp.Results[i].Cell()] = &cp.Results[i]
	}
	return results
}

// Known returns what a strategy is told of the results.
func (cp *Checkpoint) Known() map[Cell]Known {
	known := make(map[Cell]Known, len(cp.Results))
	for i := range cp.Results {
		known[cp.Results[i].Cell()] = cp.Results[i].known()
	}
	return known
}

func (r *Result) known() Known {
	switch {
	case r.Failed():
		// Out of memory is tried twice before it is a failure.
		return Known{Failed: true, Memory: *r.Error == parse.OutOfGPUMemory && r.Retries > 0}
	case len(r.Samples) == 0:
		return Known{Rates: []float64{*r.PromptEvalRate}, Closed: true} // an older tool's
	}
	return Known{Rates: r.SampleRates(), Size: r.Size, SizeVRAM: r.SizeVRAM}
}

// Pruned returns the cells that were passed over because they need at least the
// memory of one that failed for want of it, each with that one.
func (cp *Checkpoint) Pruned() map[Cell]Cell {
	if !cp.Sweep.Prune {
		return nil
	}
	return pruned(cp.Plan(), cp.Known())
}

// Axes returns every num_ctx and every num_batch that was planned or
// measured, ascending.
func (cp *Checkpoint) Axes() (ctx, batch []int) {
	ctx, batch = slices.Clone(cp.Sweep.NumCtx), slices.Clone(cp.Sweep.NumBatch)
	for _, r := range cp.Results {
		ctx, batch = append(ctx, r.NumCtx), append(batch, r.NumBatch)
	}
	return distinct(ctx), distinct(batch)
}

// Plan returns the cells that the sweep is to measure, in column order: those
// of the header's grid, or of the results' own where an older tool left none.
func (cp *Checkpoint) Plan() []Cell {
	g := Grid{Ctx: cp.Sweep.NumCtx, Batch: cp.Sweep.NumBatch}
	if len(g.Ctx) == 0 || len(g.Batch) == 0 {
		g.Ctx, g.Batch = cp.Axes()
	}
	plan, _ := g.Cells()
	return cp.Sweep.Shard.of(plan)
}

// Load reads the checkpoint file at path, in this form or an older tool's. An
// error names the file and, where it can, the line or the result that is wrong.
func Load(path string) (*Checkpoint, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("checkpoint %q is not a file (%v)", path, info.Mode().Type())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint: %w", err)
	}
	cp, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("decoding checkpoint %q: %w", path, err)
	}
	return cp, nil
}

// Decode reads a checkpoint in this form or an older tool's.
func Decode(data []byte) (*Checkpoint, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fmt.Errorf("the file is empty")
	}
	var form struct {
		Version  *int            `json:"version"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := unmarshal(data, &form); err != nil {
		return nil, err
	}
	if form.Version == nil && form.Metadata != nil {
		return decodeOlder(data)
	}
	if form.Version == nil {
		return nil, fmt.Errorf(`no "version": this is not a sweep's checkpoint`)
	}
	if *form.Version != Version {
		return nil, fmt.Errorf("version %d is not known here, only %d: use the release that wrote it", *form.Version, Version)
	}
	cp := new(Checkpoint)
	if err := unmarshalKnown(data, cp); err != nil {
		return nil, err
	}
	return cp, cp.check()
}

// check refuses results that no sweep of ours writes.
func (cp *Checkpoint) check() error {
	seen := make(map[Cell]bool, len(cp.Results))
	for i := range cp.Results {
		r := &cp.Results[i]
		wrong := r.wrong()
		switch {
		case r.NumBatch <= 0:
			wrong = "num_batch must be positive"
		case seen[r.Cell()]:
			wrong = "the cell stands twice"
		}
		if wrong != "" {
			return fmt.Errorf("result %d (%v): %s", i+1, r.Cell(), wrong)
		}
		seen[r.Cell()] = true
	}
	if s := cp.Sweep.Search; s != nil && s.Best != (Cell{}) && !seen[s.Best] {
		return fmt.Errorf("search: best is %v, of which there is no result", s.Best)
	}
	for i := range cp.Remeasured {
		r := &cp.Remeasured[i]
		wrong := r.wrong()
		if r.Purpose != Reference && r.Purpose != Confirm && r.Purpose != Baseline {
			wrong = fmt.Sprintf("purpose %q is not known", r.Purpose)
		}
		if wrong != "" {
			return fmt.Errorf("remeasured %d (%v): %s", i+1, r.Cell(), wrong)
		}
	}
	return nil
}

// wrong says what no sweep of ours writes of a cell, empty when all is well.
func (r *Result) wrong() string {
	switch {
	case r.NumCtx <= 0 || r.NumBatch < 0:
		return "num_ctx and num_batch must be positive"
	case r.PromptEvalRate == nil && r.Error == nil:
		return "neither prompt_eval_rate nor error"
	case r.PromptEvalRate != nil && r.Error != nil:
		return "both prompt_eval_rate and error"
	case r.PromptEvalRate != nil && !positive(*r.PromptEvalRate):
		return fmt.Sprintf("prompt_eval_rate %v is not a positive number", *r.PromptEvalRate)
	case r.Failed() && !r.Error.OfCell():
		return fmt.Sprintf("error %q is no class of a failed cell", *r.Error)
	case r.ContextLength < 0 || r.Size < 0 || r.SizeVRAM < 0 || r.Retries < 0:
		return "a negative figure"
	case !r.Failed() && r.ContextLength > 0 && r.ContextLength < r.NumCtx:
		return fmt.Sprintf("context_length is %d, and such a cell is no measured one", r.ContextLength)
	}
	for _, s := range r.Samples {
		if _, ok := s.PromptEvalRate(); !ok {
			return "a sample without prompt_eval_count and prompt_eval_duration_ns"
		}
		if err := s.Check(); err != nil {
			return err.Error()
		}
	}
	return r.wrongRate()
}

// wrongRate tells of a rate that does not follow from the samples: a digit of
// one of them is another than was written.
func (r *Result) wrongRate() string {
	if r.Failed() || len(r.Samples) == 0 {
		return ""
	}
	median := verdict.Median(r.SampleRates())
	if math.Abs(*r.PromptEvalRate-median) <= 1e-9*median {
		return ""
	}
	return fmt.Sprintf("prompt_eval_rate is %v, and the median of its samples %v: one of them was changed", *r.PromptEvalRate, median)
}

func positive(x float64) bool { return x > 0 && !math.IsInf(x, 0) }

// unmarshal decodes one JSON value that fills data, and names the line of an
// error.
func unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	var offset int64
	switch e := err.(type) {
	case *json.SyntaxError:
		offset = e.Offset
	case *json.UnmarshalTypeError:
		offset = e.Offset
	default:
		return err
	}
	offset = min(offset, int64(len(data)))
	return fmt.Errorf("line %d: %w", 1+bytes.Count(data[:offset], []byte("\n")), err)
}

// unmarshalKnown is unmarshal for one JSON value all of whose keys have to be
// known: a key that is misspelt would be a figure that is lost.
func unmarshalKnown(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		return nil
	}
	if _, key, ok := strings.Cut(err.Error(), "unknown field "); ok { // in quotes
		at := max(0, bytes.Index(data, []byte(key)))
		return fmt.Errorf("line %d: the key %s is not known here", 1+bytes.Count(data[:at], []byte("\n")), key)
	}
	return unmarshal(data, v) // which names the line
}

// Encode writes the checkpoint with one result per line.
func (cp *Checkpoint) Encode(w io.Writer) error {
	var l lines
	if err := l.take(cp); err != nil {
		return err
	}
	return l.encode(w, cp.Sweep)
}

// lines holds each result as the line that it takes in the file, so that a save
// costs no more than the writing of what did not change.
type lines struct {
	results, remeasured [][]byte
}

func (l *lines) take(cp *Checkpoint) error {
	for i := range cp.Results {
		line, err := json.Marshal(&cp.Results[i])
		if err != nil {
			return fmt.Errorf("encoding result %d: %w", i+1, err)
		}
		l.results = append(l.results, line)
	}
	for i := range cp.Remeasured {
		line, err := json.Marshal(&cp.Remeasured[i])
		if err != nil {
			return fmt.Errorf("encoding remeasured %d: %w", i+1, err)
		}
		l.remeasured = append(l.remeasured, line)
	}
	return nil
}

func (l *lines) encode(w io.Writer, h Header) error {
	header, err := json.MarshalIndent(h, "  ", "  ")
	if err != nil {
		return fmt.Errorf("encoding header: %w", err)
	}
	if _, err := fmt.Fprintf(w, "{\n  \"version\": %d,\n  \"sweep\": %s,\n  \"results\": ", Version, header); err != nil {
		return err
	}
	if err := writeList(w, l.results); err != nil {
		return err
	}
	if len(l.remeasured) > 0 {
		if _, err := io.WriteString(w, ",\n  \"remeasured\": "); err != nil {
			return err
		}
		if err := writeList(w, l.remeasured); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "\n}\n")
	return err
}

func writeList(w io.Writer, items [][]byte) error {
	sep := "[\n    "
	for _, item := range items {
		if _, err := io.WriteString(w, sep); err != nil {
			return err
		}
		if _, err := w.Write(item); err != nil {
			return err
		}
		sep = ",\n    "
	}
	if len(items) == 0 {
		sep = "["
	} else {
		sep = ""
	}
	_, err := io.WriteString(w, sep+"\n  ]")
	return err
}
