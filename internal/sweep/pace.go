package sweep

import (
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Pace is the time of a load and of a prompt.
type Pace struct {
	Load   time.Duration // including the unloading before and the warm-up
	Prompt time.Duration
	Basis  string // where the times come from, as a text
}

// AssumedPace is the pace of a small model on one GPU, for a sweep without measurements.
var AssumedPace = Pace{Load: 4 * time.Second, Prompt: time.Second, Basis: "an assumption"}

// Time returns the time of so many loads and prompts.
func (p Pace) Time(loads, prompts int) time.Duration {
	return time.Duration(loads)*p.Load + time.Duration(prompts)*p.Prompt
}

// PaceOf returns the pace of the cells in the checkpoint, and false where none has
// durations, as in a file of the older tool.
func PaceOf(cp *checkpoint.Checkpoint) (Pace, bool) {
	var t timings
	for i := range cp.Results {
		r := &cp.Results[i]
		if r.Warmup != nil {
			t.loads = append(t.loads, LoadTime(r))
		}
		for _, s := range r.Samples {
			t.prompts = append(t.prompts, RequestTime(s))
		}
	}
	slices.Sort(t.loads)
	slices.Sort(t.prompts)
	return t.pace("as measured before")
}

// LoadTime returns how long the load of a cell took that has a warm-up, with all prompts after it that
// don't count.
func LoadTime(r *checkpoint.Result) time.Duration {
	spent := RequestTime(*r.Warmup)
	if len(r.FirstPrompts) > 0 {
		spent += RequestTime(r.FirstPrompts[0])
	}
	return spent
}

// RequestTime returns how long a request took: by the wall clock or, where that is missing, by
// the server's.
func RequestTime(s measurement.Sample) time.Duration {
	if s.Wall > 0 {
		return s.Wall
	}
	return s.TotalDuration
}

// timings holds the times of loads and prompts in ascending order, since the pace is
// computed after every cell.
type timings struct{ loads, prompts []time.Duration }

// add adds the time spent on a cell, and the samples taken in it.
func (t *timings) add(spent time.Duration, loaded bool, samples []measurement.Sample) {
	for _, s := range samples {
		insert(&t.prompts, RequestTime(s))
		spent -= RequestTime(s)
	}
	if loaded {
		insert(&t.loads, max(0, spent))
	}
}

// insert adds a duration in its place.
func insert(ascending *[]time.Duration, d time.Duration) {
	i, _ := slices.BinarySearch(*ascending, d)
	*ascending = slices.Insert(*ascending, i, d)
}

// pace returns false where nothing was timed.
func (t *timings) pace(basis string) (Pace, bool) {
	return Pace{Load: middleMean(t.loads), Prompt: middleMean(t.prompts), Basis: basis}, len(t.loads)+len(t.prompts) > 0
}

// middleMean returns the interquartile mean of ascending durations, which is not shifted
// by a few that hung or failed at once. Of fewer than four it is the mean, and of none zero.
func middleMean(ascending []time.Duration) time.Duration {
	cut := len(ascending) / 4
	return mean(ascending[cut : len(ascending)-cut])
}
