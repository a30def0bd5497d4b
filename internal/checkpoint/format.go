package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/strictjson"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Version is the checkpoint format of a sweep over num_ctx and num_batch, and VersionAxes that of one with
// other axes: its header has axes, and each result a key.
const (
	Version     = 1
	VersionAxes = 2
)

// Format returns the version of the checkpoint format of a sweep.
func (h Header) Format() int {
	if len(h.Axes) > 0 {
		return VersionAxes
	}
	return Version
}

// FileName is the checkpoint's name in a sweep's out folder.
const FileName = "benchmark_results.json"

// Find returns the path of a checkpoint: in itself where it is a file, and else the checkpoint
// in the out folder in.
func Find(in string) (string, error) {
	if in == "" {
		return "", errors.New("name the out folder of a sweep, or its checkpoint file")
	}
	info, err := os.Stat(in)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s does not exist: run a sweep first, or name its out folder", in)
	case err != nil:
		return "", fmt.Errorf("looking for the checkpoint: %w", err)
	case !info.IsDir():
		return in, nil
	}
	path := filepath.Join(in, FileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s has no %s: it is not the out folder of a sweep", in, FileName)
	}
	return path, nil
}

// Decode reads a checkpoint in this format or an older tool's, and checks it.
func Decode(data []byte) (*Checkpoint, error) {
	cp, err := decode(data)
	if err != nil {
		return nil, err
	}
	return cp, cp.check()
}

// decode reads a checkpoint and does not check it.
func decode(data []byte) (*Checkpoint, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fmt.Errorf("the file is empty")
	}
	var top struct {
		Version  *int            `json:"version"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := strictjson.Unmarshal(data, &top); err != nil {
		return nil, err
	}
	if top.Version == nil && top.Metadata != nil {
		return decodeOlder(data)
	}
	if top.Version == nil {
		return nil, fmt.Errorf(`no "version": this is not a sweep's checkpoint`)
	}
	if *top.Version != Version && *top.Version != VersionAxes {
		return nil, fmt.Errorf("version %d is not supported, only versions %d and %d: use the release that wrote it", *top.Version, Version, VersionAxes)
	}
	cp := new(Checkpoint)
	return cp, strictjson.UnmarshalKnown(data, cp)
}

// check returns an error for contents that a sweep never writes.
func (cp *Checkpoint) check() error {
	if cp.Version != cp.Sweep.Format() && !cp.OlderTool {
		return fmt.Errorf("sweep: version %d with %d axes besides num_ctx and num_batch", cp.Version, len(cp.Sweep.Axes))
	}
	if text := cp.outOfRange(); text != "" {
		return fmt.Errorf("sweep: %s", text)
	}
	seen := make(map[cell.Key]bool, len(cp.Results))
	for i := range cp.Results {
		r := &cp.Results[i]
		problem := r.problem()
		switch {
		case r.NumBatch <= 0:
			problem = "num_batch must be positive"
		case seen[r.Cell()]:
			problem = "duplicate cell"
		}
		if problem != "" {
			return fmt.Errorf("result %d (%v): %s", i+1, r.Cell(), problem)
		}
		if !r.Cell().Settings.HasAxes(cp.Sweep.Axes) {
			return fmt.Errorf("result %d (%v): its key does not have the axes of the sweep", i+1, r.Cell())
		}
		seen[r.Cell()] = true
	}
	if s := cp.Sweep.Search; s != nil && s.Best != (cell.Key{}) && !seen[s.Best] {
		return fmt.Errorf("search: best is %v, which has no result", s.Best)
	}
	for i := range cp.Auxiliary {
		r := &cp.Auxiliary[i]
		problem := r.problem()
		switch r.Purpose {
		case Reference, Confirm, Baseline:
		case HostCheck:
			if r.Host == "" {
				problem = "no host"
			}
		default:
			problem = fmt.Sprintf("unknown purpose %q", r.Purpose)
		}
		if problem != "" {
			return fmt.Errorf("remeasured %d (%v): %s", i+1, r.Cell(), problem)
		}
		if !r.Cell().Settings.HasAxes(cp.Sweep.Axes) {
			return fmt.Errorf("remeasured %d (%v): its key does not have the axes of the sweep", i+1, r.Cell())
		}
	}
	return nil
}

// problem describes the first value that a sweep never writes; empty when there is none.
func (r *Result) problem() string {
	switch {
	case r.NumCtx <= 0 || r.NumBatch < 0:
		return "num_ctx and num_batch must be positive"
	case r.Key != nil && (r.Key.Ctx != r.NumCtx || r.Key.Batch != r.NumBatch):
		return fmt.Sprintf("num_ctx and num_batch are not those of the key, %v", *r.Key)
	case r.PromptEvalRate == nil && r.Error == nil:
		return "neither prompt_eval_rate nor error"
	case r.PromptEvalRate != nil && r.Error != nil:
		return "both prompt_eval_rate and error"
	case r.PromptEvalRate != nil && !positive(*r.PromptEvalRate):
		return fmt.Sprintf("prompt_eval_rate %v is not a positive number", *r.PromptEvalRate)
	case r.Failed() && !r.Error.FailsCell():
		return fmt.Sprintf("error %q is not a failure class of a cell", *r.Error)
	case r.ContextLength < 0 || r.Size < 0 || r.SizeVRAM < 0 || r.Retries < 0:
		return "a negative figure"
	case r.Memory != nil && !r.Memory.Check():
		return "impossible memory figures"
	case !r.Failed() && r.ContextLength > 0 && r.ContextLength < r.NumCtx:
		return fmt.Sprintf("context_length %d is below num_ctx, so the cell can't count as measured", r.ContextLength)
	}
	for _, s := range slices.Concat(r.Samples, r.SetAside, r.FirstPrompts) {
		if _, ok := s.PromptEvalRate(); !ok {
			return "a sample without prompt_eval_count and prompt_eval_duration_ns"
		}
		if err := s.Check(); err != nil {
			return err.Error()
		}
	}
	for _, p := range r.Probes {
		if text := r.probeProblem(p); text != "" {
			return text
		}
	}
	return r.rateProblem()
}

// probeProblem describes the first value of a probe that a sweep never writes; empty when there is none.
func (r *Result) probeProblem(p measurement.Probe) string {
	switch {
	case p.NumBatch < 1 || p.NumBatch > r.NumBatch:
		return fmt.Sprintf("a probe with num_batch %d, which is not between 1 and the cell's", p.NumBatch)
	case p.Tokens < 1 || p.Tokens > p.NumBatch:
		return fmt.Sprintf("a probe of %d tokens with num_batch %d", p.Tokens, p.NumBatch)
	case p.Depth < 0 || p.Depth > r.NumCtx-p.Tokens:
		return fmt.Sprintf("a probe of %d tokens after %d, which do not fit num_ctx", p.Tokens, p.Depth)
	case p.Duration < 0 || p.RequestCost != nil && *p.RequestCost < 0:
		return "a probe with a negative duration"
	}
	return ""
}

// rateProblem describes a rate that is not the median of the samples: the file was edited
// or damaged. It is empty when there is none.
func (r *Result) rateProblem() string {
	if r.Failed() || len(r.Samples) == 0 {
		return ""
	}
	median := verdict.Median(r.SampleRates())
	if math.Abs(*r.PromptEvalRate-median) <= 1e-9*median {
		return ""
	}
	return fmt.Sprintf("prompt_eval_rate is %v, but the median of the samples is %v: one of them was changed", *r.PromptEvalRate, median)
}

func positive(x float64) bool { return x > 0 && !math.IsInf(x, 0) }

// Encode writes the checkpoint with one result per line.
func (cp *Checkpoint) Encode(w io.Writer) error {
	return encode(w, cp.Sweep, linesOf("result", cp.Results), linesOf("remeasured", cp.Auxiliary))
}

// Save writes the file at path, which is replaced atomically. Where path is a link, the file
// that it points to is replaced.
func (cp *Checkpoint) Save(path string) error {
	target, err := targetOf(path)
	if err == nil {
		_, err = replace(target, cp.Encode)
	}
	if err != nil {
		return fmt.Errorf("saving checkpoint %q: %w", path, err)
	}
	return nil
}

// lines are the entries of a list in the file, each encoded when it is written: the lines of a
// million cells take more memory than the cells.
type lines struct {
	n    int
	line func(i int) ([]byte, error)
}

// linesOf returns the lines of the items. Errors call an item what.
func linesOf[T any](what string, items []T) lines {
	return lines{len(items), func(i int) ([]byte, error) {
		line, err := json.Marshal(&items[i])
		if err != nil {
			err = fmt.Errorf("encoding %s %d: %w", what, i+1, err)
		}
		return line, err
	}}
}

// encodedLines returns lines that are encoded already.
func encodedLines(all [][]byte) lines {
	return lines{len(all), func(i int) ([]byte, error) { return all[i], nil }}
}

// all encodes every line.
func (l lines) all() (all [][]byte, err error) {
	for i := range l.n {
		line, err := l.line(i)
		if err != nil {
			return nil, err
		}
		all = append(all, line)
	}
	return all, nil
}

func encode(w io.Writer, h Header, results, remeasured lines) error {
	header, err := json.MarshalIndent(h, "  ", "  ")
	if err != nil {
		return fmt.Errorf("encoding header: %w", err)
	}
	if _, err := fmt.Fprintf(w, "{\n  \"version\": %d,\n  \"sweep\": %s,\n  \"results\": ", h.Format(), header); err != nil {
		return err
	}
	if err := results.write(w); err != nil {
		return err
	}
	if remeasured.n > 0 {
		if _, err := io.WriteString(w, ",\n  \"remeasured\": "); err != nil {
			return err
		}
		if err := remeasured.write(w); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "\n}\n")
	return err
}

func (l lines) write(w io.Writer) error {
	begin, end := "[\n    ", "\n  ]"
	if l.n == 0 {
		begin = "["
	}
	if _, err := io.WriteString(w, begin); err != nil {
		return err
	}
	for i := range l.n {
		if i > 0 {
			if _, err := io.WriteString(w, ",\n    "); err != nil {
				return err
			}
		}
		line, err := l.line(i)
		if err != nil {
			return err
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, end)
	return err
}
