package measurement

import "time"

// LeastProbed is the length of the shortest prompt that can be probed, in tokens.
const LeastProbed = 512

// Probe has the figures of one pass over a part of a prompt: the load's prompt cache had all tokens
// before that part, so the server evaluated the part alone, in one pass. It shows what a load with a
// num_batch of that size would take for it. It is not a measurement of that cell.
type Probe struct {
	NumBatch int `json:"num_batch"` // tokens that the pass was to have
	Depth    int `json:"depth"`     // tokens before the pass
	Tokens   int `json:"tokens"`    // tokens of the pass, at most NumBatch
	// Duration is the server's prompt_eval_duration. It includes what a request costs besides its
	// passes.
	Duration time.Duration `json:"duration_ns"`
	// RequestCost is what a request costs besides its passes, as far as it can be measured: what the
	// evaluation of a single token takes longer than its generation. It is nil if it is unknown.
	RequestCost *time.Duration `json:"request_cost_ns,omitempty"`
	// Verified reports whether Depth and Tokens are from the server's log or from its
	// prompt_eval_cached_count. Otherwise they were derived from durations and the count of the
	// whole prompt.
	Verified  bool      `json:"verified,omitempty"`
	Timestamp time.Time `json:"timestamp"`
}

// Rate returns the tokens per second of the pass, without what the request costs besides, and false
// if they are unknown.
func (p Probe) Rate() (tokensPerSec float64, ok bool) {
	d := p.Duration
	if p.RequestCost != nil {
		d -= *p.RequestCost
	}
	return rate(p.Tokens, d)
}

// Unprobeable is the reason why a load can't be probed. Its cell can be measured all the same.
type Unprobeable struct {
	Reason string
	// Temporary reports whether another load, or the same one later, may be probed.
	Temporary bool
}

func (u *Unprobeable) Error() string { return "can't be probed: " + u.Reason }
