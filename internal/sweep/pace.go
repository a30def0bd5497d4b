package sweep

import (
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Pace is what a load and a prompt take, and what that rests on.
type Pace struct {
	Load   time.Duration // with all that belongs to it: unloading before, the warm-up
	Prompt time.Duration
	Basis  string // in words
}

// AssumedPace is that of a small model on one GPU, for where nothing was measured.
var AssumedPace = Pace{Load: 4 * time.Second, Prompt: time.Second, Basis: "an assumption"}

// Time returns what so many loads and prompts take.
func (p Pace) Time(loads, prompts int) time.Duration {
	return time.Duration(loads)*p.Load + time.Duration(prompts)*p.Prompt
}

// PaceOf returns that of the cells in the checkpoint, and false where none has
// durations, as an older tool's.
func PaceOf(cp *checkpoint.Checkpoint) (Pace, bool) {
	var t timings
	for i := range cp.Results {
		r := &cp.Results[i]
		if r.Warmup != nil {
			t.loads = append(t.loads, Taken(*r.Warmup))
		}
		for _, s := range r.Samples {
			t.prompts = append(t.prompts, Taken(s))
		}
	}
	slices.Sort(t.loads)
	slices.Sort(t.prompts)
	return t.pace("as measured before")
}

// Taken returns how long a request took: by our clock, or by the server's where
// nobody looked at ours.
func Taken(s measurement.Sample) time.Duration {
	if s.Wall > 0 {
		return s.Wall
	}
	return s.TotalDuration
}

// timings gathers how long loads and prompts took, ascending: the mean of the middle
// is asked for after every cell.
type timings struct{ loads, prompts []time.Duration }

// add takes in a cell that was gone through in so much time, with the samples
// that it got.
func (t *timings) add(spent time.Duration, loaded bool, samples []measurement.Sample) {
	for _, s := range samples {
		insert(&t.prompts, Taken(s))
		spent -= Taken(s)
	}
	if loaded {
		insert(&t.loads, max(0, spent))
	}
}

// insert keeps the order.
func insert(ascending *[]time.Duration, d time.Duration) {
	i, _ := slices.BinarySearch(*ascending, d)
	*ascending = slices.Insert(*ascending, i, d)
}

// pace returns false where nothing was timed.
func (t *timings) pace(basis string) (Pace, bool) {
	return Pace{Load: middleMean(t.loads), Prompt: middleMean(t.prompts), Basis: basis}, len(t.loads)+len(t.prompts) > 0
}

// middleMean returns the mean of the middle half of ascending durations (the
// interquartile mean), which a few that hung or failed at once don't shift; of less
// than four the mean; of none zero.
func middleMean(ascending []time.Duration) time.Duration {
	cut := len(ascending) / 4
	return mean(ascending[cut : len(ascending)-cut])
}
