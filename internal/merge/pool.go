package merge

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// withoutCopies returns the samples, or probes, that are not in have. Those with the same figures are
// copies: two measurements never have all durations equal to the nanosecond.
func withoutCopies[T any](have, samples []T) []T {
	var fresh []T
	for _, s := range samples {
		if !slices.ContainsFunc(have, func(other T) bool { return reflect.DeepEqual(s, other) }) {
			fresh = append(fresh, s)
		}
	}
	return fresh
}

// setAside removes the samples that either part has set aside from the samples of both, and
// returns the remaining samples of r that have lacks. A part that was copied before disturbed
// samples were replaced still counts them.
func setAside(have, r *checkpoint.Result) (fresh []measurement.Sample) {
	fresh = withoutCopies(slices.Concat(have.Samples, have.SetAside), r.Samples)
	have.Samples = withoutCopies(r.SetAside, have.Samples)
	have.SetAside = append(slices.Clip(have.SetAside), withoutCopies(have.SetAside, r.SetAside)...)
	return fresh
}

// join adds the fresh samples of r, another part's result of the cell, to have. A
// cell that failed in one of the parts counts as failed, so that it is not recommended.
func join(have *checkpoint.Result, r *checkpoint.Result, fresh []measurement.Sample) {
	have.Samples = append(slices.Clip(have.Samples), fresh...)
	have.Probes = append(slices.Clip(have.Probes), withoutCopies(have.Probes, r.Probes)...)
	if have.Error == nil {
		have.Error, have.Detail = r.Error, r.Detail
	}
	if spilled(r) && !spilled(have) {
		have.Size, have.SizeVRAM, have.Memory = r.Size, r.SizeVRAM, r.Memory
	}
	if have.Memory == nil {
		have.Memory = r.Memory
	}
	if r.Settings == checkpoint.SettingsRequested {
		have.Settings = r.Settings
	}
	if have.Warmup == nil {
		have.Warmup = r.Warmup
	}
	have.FirstPrompts = append(slices.Clip(have.FirstPrompts), withoutCopies(have.FirstPrompts, r.FirstPrompts)...)
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

// spilled reports whether the model was only partly in GPU memory.
func spilled(r *checkpoint.Result) bool { return r.SizeVRAM > 0 && r.SizeVRAM < r.Size }

// contradiction describes results of a cell in two parts that can't both be right, empty when
// they agree.
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
		{"effective num_batch", a.Effective.NumBatch, b.Effective.NumBatch},
		{"number of prompt tokens", tokens(a), tokens(b)},
	} {
		if f.a != f.b && f.a != 0 && f.b != 0 {
			return fmt.Sprintf("the %s is %d in %s and %d in %s", f.what, f.a, fromA, f.b, fromB)
		}
	}
	if spilled(a) != spilled(b) && a.Size > 0 && b.Size > 0 {
		if spilled(b) {
			fromA, fromB = fromB, fromA
		}
		return fmt.Sprintf("the model was partly in GPU memory in %s, and entirely in %s", fromA, fromB)
	}
	return ""
}

func failedText(from string, failed *checkpoint.Result, other string, measured *checkpoint.Result) string {
	return fmt.Sprintf("failed as %q in %s and has %.1f tokens/s in %s; it counts as failed, -retry-failed measures it again there", *failed.Error, from, *measured.PromptEvalRate, other)
}

// tokens returns the number of prompt tokens of the samples, 0 without samples.
func tokens(r *checkpoint.Result) int {
	if len(r.Samples) == 0 {
		return 0
	}
	return r.Samples[0].PromptEvalCount
}
