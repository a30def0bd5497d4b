package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Check is one way in which a figure can be wrong. Each function may be nil.
type Check struct {
	Name string
	// Plan looks at a cell before it is measured: what is found here is known of
	// many cells at once.
	Plan func(*Evidence) []Finding
	// Load looks at a cell that was just loaded, before its first sample.
	Load func(*Evidence) []Finding
	// Sample looks at a sample before it counts.
	Sample func(*Evidence) []Finding
}

// Table lists all checks. Three of them are procedures for the most part, which
// the sweep carries out, and have here only what is left to look at: the warm-up,
// the second try where memory was not given back, and the reference cell.
var Table = []Check{
	{Name: "prompt cache", Plan: sharedStart, Sample: promptCache},
	{Name: "impossible figures", Load: impossibleLoad, Sample: impossible},
	{Name: "truncation", Sample: truncation},
	{Name: "num_ctx in force", Load: effectiveContext},
	{Name: "num_batch in force", Plan: batchAsked, Load: effectiveBatch},
	{Name: "spill", Load: spill},
	{Name: "other models", Load: othersLoaded, Sample: othersBeside},
	{Name: "warm-up", Sample: loadedAnew},
	{Name: "memory given back", Load: secondTry},
	{Name: "thermal and power", Sample: throttled},
	{Name: "drift"},        // over the whole sweep: see Drift
	{Name: "hosts"},        // of those that share a sweep: see Hosts
	{Name: "busy machine"}, // marks samples, and has cells measured again: see Busy
}

// Evidence is what is known when a check looks. A figure of zero is not known.
type Evidence struct {
	Version    string // of the server, such as "0.10.1"
	CLI        bool   // figures come from the ollama command, whose start takes time of its own
	GPU        bool   // the server has a GPU, so far as is known
	Log        bool   // the server's log can be read
	Exclusive  bool   // nobody else may use the server
	NumCtx     int    // asked for, tokens
	NumBatch   int    // asked for, tokens; 0 for the server's own choice
	NumPredict int    // tokens
	TrainedCtx int    // tokens of context that the model was trained for
	System     int    // bytes of the model's system prompt

	// PromptTokens is what the server must count in the prompt: learned from
	// samples before, or, where Estimated, reckoned from parts of it.
	PromptTokens int
	Estimated    bool

	// Head is how many tokens prompts can begin alike with at most, so that the cache holds them:
	// those of the template, and of a nonce.
	Head int

	Retries int                // failed tries of this cell before
	Loaded  measurement.Loaded // the load in force
	Sample  measurement.Sample

	// Ceiling is a rate that the sample can't be above, as far as all samples
	// before it tell, in tokens per second.
	Ceiling float64
}

// Finding is what a check holds against a figure.
type Finding struct {
	Check string // name
	// Class is the failure of the cell, empty for a warning.
	Class measurement.Class
	// Again says that the sample must not count, but that another may: what was
	// found comes and goes. Only when it comes again and again it is a failure,
	// or, without a class, ends the sweep.
	Again bool
	Text  string // figures and remedy
}

func (f Finding) String() string { return f.Check + ": " + f.Text }

// Failure returns the finding as the cell's failure.
func (f Finding) Failure() *measurement.Failure {
	return &measurement.Failure{Class: f.Class, Detail: f.String()}
}

// Plan returns what is known of a cell before it is measured.
func Plan(e *Evidence) []Finding {
	return look(e, func(c Check) func(*Evidence) []Finding { return c.Plan })
}

// Load returns what is found of a cell that was just loaded.
func Load(e *Evidence) []Finding {
	return look(e, func(c Check) func(*Evidence) []Finding { return c.Load })
}

// Sample returns what is found of a sample.
func Sample(e *Evidence) []Finding {
	return look(e, func(c Check) func(*Evidence) []Finding { return c.Sample })
}

func look(e *Evidence, stage func(Check) func(*Evidence) []Finding) []Finding {
	var all []Finding
	for _, c := range Table {
		check := stage(c)
		if check == nil {
			continue
		}
		for _, f := range check(e) {
			f.Check = c.Name
			all = append(all, f)
		}
	}
	return all
}

func warn(format string, args ...any) []Finding {
	return []Finding{{Text: sentence(format, args)}}
}

func fail(class measurement.Class, format string, args ...any) []Finding {
	return []Finding{{Class: class, Text: sentence(format, args)}}
}

// sentence formats a finding. Servers give nanoseconds, which nobody reads.
func sentence(format string, args []any) string {
	args = slices.Clone(args)
	for i, arg := range args {
		if d, ok := arg.(time.Duration); ok {
			args[i] = round(d)
		}
	}
	return fmt.Sprintf(format, args...)
}

// round keeps three digits of a duration, and of those from a minute on the seconds.
func round(d time.Duration) time.Duration {
	if d >= time.Minute {
		return d.Round(time.Second)
	}
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
