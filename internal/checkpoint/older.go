package checkpoint

import (
	"fmt"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/strictjson"
)

// decodeOlder reads the checkpoint of the Python tool that this project
// replaces:
//
//	{"metadata": {…}, "results": [
//	  {"num_ctx": 8192, "num_batch": 32, "prompt_eval_rate": 78.8, "timestamp": "2025-06-01T12:00:00.123456"},
//	  {"num_ctx": 8192, "num_batch": 160, "prompt_eval_rate": null, "error": "CUDA OOM"}]}
//
// Its times have no zone and are read as local time. A cell that occurs twice was
// measured again: the later result counts.
func decodeOlder(data []byte) (*Checkpoint, error) {
	var file struct {
		Metadata struct {
			Model string `json:"model"`
		} `json:"metadata"`
		Results []struct {
			NumCtx         int      `json:"num_ctx"`
			NumBatch       int      `json:"num_batch"`
			PromptEvalRate *float64 `json:"prompt_eval_rate"`
			Timestamp      string   `json:"timestamp"`
			Error          *string  `json:"error"`
		} `json:"results"`
	}
	if err := strictjson.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	cp := &Checkpoint{
		Version:   Version,
		Sweep:     Header{Model: file.Metadata.Model},
		OlderTool: true,
	}
	at := make(map[cell.Key]int)
	for i, old := range file.Results {
		r := Result{NumCtx: old.NumCtx, NumBatch: old.NumBatch}
		switch {
		case old.Error != nil && *old.Error != "":
			r.Error, r.Detail = olderClass(*old.Error)
		case old.PromptEvalRate == nil || *old.PromptEvalRate <= 0: // -1 meant a failure
			class := measurement.NoFigures
			r.Error, r.Detail = &class, "no prompt_eval_rate in the older tool's file"
		default:
			r.PromptEvalRate = old.PromptEvalRate
		}
		if old.Timestamp != "" {
			t, err := parseOlderTime(old.Timestamp)
			if err != nil {
				return nil, fmt.Errorf("result %d (%v): timestamp %q is not ISO 8601", i+1, r.Cell(), old.Timestamp)
			}
			r.Timestamp = t
		}
		if j, twice := at[r.Cell()]; twice {
			cp.Results[j] = r
			continue
		}
		at[r.Cell()] = len(cp.Results)
		cp.Results = append(cp.Results, r)
	}
	return cp, nil
}

// olderClass returns the failure class of an older tool's error, and its text where that is no class.
func olderClass(text string) (*measurement.Class, string) {
	class := measurement.Class(text)
	switch {
	case class.FailsCell():
		return &class, ""
	case text == "Timeout":
		class = measurement.Timeout
	default: // "Failed to create model", "Ollama error" and others
		class = measurement.ModelError
	}
	return &class, text
}

func parseOlderTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	return time.ParseInLocation("2006-01-02T15:04:05.999999999", s, time.Local)
}
