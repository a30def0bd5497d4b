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
	"github.com/ollama-sweep/ollama-sweep/internal/strictjson"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Version is the checkpoint format that this package writes.
const Version = 1

// FileName is the checkpoint's name in a sweep's out folder.
const FileName = "benchmark_results.json"

// Find returns the path of the checkpoint that in names: the file itself, or the one
// in a sweep's out folder.
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
		return "", fmt.Errorf("%s holds no %s: it is no out folder of a sweep", in, FileName)
	}
	return path, nil
}

// Decode reads a checkpoint in this form or an older tool's.
func Decode(data []byte) (*Checkpoint, error) {
	cp, err := decode(data)
	if err != nil {
		return nil, err
	}
	return cp, cp.check()
}

// decode reads a checkpoint that is to be checked.
func decode(data []byte) (*Checkpoint, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fmt.Errorf("the file is empty")
	}
	var form struct {
		Version  *int            `json:"version"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := strictjson.Unmarshal(data, &form); err != nil {
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
	return cp, strictjson.UnmarshalKnown(data, cp)
}

// check refuses results that no sweep of ours writes.
func (cp *Checkpoint) check() error {
	if wrong := cp.wrongSize(); wrong != "" {
		return fmt.Errorf("sweep: %s", wrong)
	}
	seen := make(map[cell.Key]bool, len(cp.Results))
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
	if s := cp.Sweep.Search; s != nil && s.Best != (cell.Key{}) && !seen[s.Best] {
		return fmt.Errorf("search: best is %v, of which there is no result", s.Best)
	}
	for i := range cp.Remeasured {
		r := &cp.Remeasured[i]
		wrong := r.wrong()
		switch r.Purpose {
		case Reference, Confirm, Baseline:
		case HostCheck:
			if r.Host == "" {
				wrong = "no host"
			}
		default:
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
	case r.Memory != nil && !r.Memory.Check():
		return "figures of memory that can't be"
	case !r.Failed() && r.ContextLength > 0 && r.ContextLength < r.NumCtx:
		return fmt.Sprintf("context_length is %d, and such a cell is no measured one", r.ContextLength)
	}
	for _, s := range slices.Concat(r.Samples, r.SetAside) {
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

// Encode writes the checkpoint with one result per line.
func (cp *Checkpoint) Encode(w io.Writer) error {
	return encode(w, cp.Sweep, linesOf("result", cp.Results), linesOf("remeasured", cp.Remeasured))
}

// Save writes the file at path, which is replaced as a whole or left as it was. A link stays one,
// and its file is replaced.
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

// lines are the entries of a list in the file, each made when it is written: those of a
// million cells take more memory than the cells.
type lines struct {
	n    int
	line func(i int) ([]byte, error)
}

// linesOf returns the items' lines. what an item is stands in an error.
func linesOf[T any](what string, items []T) lines {
	return lines{len(items), func(i int) ([]byte, error) {
		line, err := json.Marshal(&items[i])
		if err != nil {
			err = fmt.Errorf("encoding %s %d: %w", what, i+1, err)
		}
		return line, err
	}}
}

// kept returns lines that are there already.
func kept(all [][]byte) lines {
	return lines{len(all), func(i int) ([]byte, error) { return all[i], nil }}
}

// all makes every line.
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
	if _, err := fmt.Fprintf(w, "{\n  \"version\": %d,\n  \"sweep\": %s,\n  \"results\": ", Version, header); err != nil {
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
