package merge

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// withoutCopies returns the samples that are not among those that stand: two
// measurements have no nanosecond in common in all of their durations.
func withoutCopies(have, samples []measurement.Sample) []measurement.Sample {
	var fresh []measurement.Sample
	for _, s := range samples {
		if !slices.ContainsFunc(have, func(other measurement.Sample) bool { return reflect.DeepEqual(s, other) }) {
			fresh = append(fresh, s)
		}
	}
	return fresh
}

// setAside takes what either part has set aside from the samples of both, and returns those of r
// that are left and that have lacks. A part that was copied before its machine was quiet again has
// such samples among those that count.
func setAside(have, r *checkpoint.Result) (fresh []measurement.Sample) {
	fresh = withoutCopies(slices.Concat(have.Samples, have.SetAside), r.Samples)
	have.Samples = withoutCopies(r.SetAside, have.Samples)
	have.SetAside = append(slices.Clip(have.SetAside), withoutCopies(have.SetAside, r.SetAside)...)
	return fresh
}

// join adds the fresh samples of r, another part's result of the cell, to have. A
// cell that failed in one of the parts is a failed one: it is none to recommend.
func join(have *checkpoint.Result, r *checkpoint.Result, fresh []measurement.Sample) {
	have.Samples = append(slices.Clip(have.Samples), fresh...)
	if have.Error == nil {
		have.Error, have.Detail = r.Error, r.Detail
	}
	if spilled(r) && !spilled(have) {
		have.Size, have.SizeVRAM, have.Memory = r.Size, r.SizeVRAM, r.Memory
	}
	if have.Memory == nil {
		have.Memory = r.Memory
	}
	if r.Settings == checkpoint.SettingsAsked {
		have.Settings = r.Settings
	}
	if have.Warmup == nil {
		have.Warmup = r.Warmup
	}
	have.Retries = max(have.Retries, r.Retries)
	if r.Timestamp.After(have.Timestamp) {
		have.Timestamp = r.Timestamp
	}
	for _, text := range r.Warnings {
		if !slices.Contains(have.Warnings, text) {
			have.Warnings = append(slices.Clip(have.Warnings), text)
		}
	}
	if len(have.Samples) > 0 || have.Failed() {
		have.SetRate()
	}
}

// spilled reports whether a part of the model was in GPU memory, and a part not.
func spilled(r *checkpoint.Result) bool { return r.SizeVRAM > 0 && r.SizeVRAM < r.Size }

// contradiction says what two parts tell of a cell that can't both be so, empty when
// they go together.
func contradiction(fromA string, a *checkpoint.Result, fromB string, b *checkpoint.Result) string {
	switch {
	case a.Failed() && b.Failed() && *a.Error != *b.Error:
		return fmt.Sprintf("failed as %q in %s and as %q in %s", *a.Error, fromA, *b.Error, fromB)
	case a.Failed() && !b.Failed():
		return failedText(fromA, a, fromB, b)
	case b.Failed() && !a.Failed():
		return failedText(fromB, b, fromA, a)
	}
	for _, f := range []struct {
		what string
		a, b int
	}{
		{"context length", a.ContextLength, b.ContextLength},
		{"num_batch in force", a.Effective.NumBatch, b.Effective.NumBatch},
		{"count of the prompt's tokens", tokens(a), tokens(b)},
	} {
		if f.a != f.b && f.a != 0 && f.b != 0 {
			return fmt.Sprintf("the %s is %d in %s and %d in %s", f.what, f.a, fromA, f.b, fromB)
		}
	}
	if spilled(a) != spilled(b) && a.Size > 0 && b.Size > 0 {
		if spilled(b) {
			fromA, fromB = fromB, fromA
		}
		return fmt.Sprintf("the model was in GPU memory in part in %s, and as a whole in %s", fromA, fromB)
	}
	return ""
}

func failedText(from string, failed *checkpoint.Result, other string, measured *checkpoint.Result) string {
	return fmt.Sprintf("failed as %q in %s and has %.1f tokens/s in %s; it counts as failed, -retry-failed measures it again there", *failed.Error, from, *measured.PromptEvalRate, other)
}

// tokens returns the count that the samples have, 0 without one.
func tokens(r *checkpoint.Result) int {
	if len(r.Samples) == 0 {
		return 0
	}
	return r.Samples[0].PromptEvalCount
}
