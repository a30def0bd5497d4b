package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Check is a check of measurements. Each of its functions may be nil.
type Check struct {
	Name string
	// Plan checks a cell before it is measured. Its findings apply to many cells at
	// once.
	Plan func(*Evidence) []Finding
	// Load checks a cell that was just loaded, before its first sample.
	Load func(*Evidence) []Finding
	// Sample checks a sample before it counts.
	Sample func(*Evidence) []Finding
}

// Table lists all checks. Some are mainly procedures of the sweep, such as the
// warm-up and the second try after a lack of memory. For these the table has only
// the part that evaluates evidence, if there is one.
var Table = []Check{
	{Name: "prompt cache", Plan: sharedStart, Sample: promptCache},
	{Name: "impossible figures", Load: impossibleLoad, Sample: impossible},
	{Name: "truncation", Sample: truncation},
	{Name: "effective num_ctx", Load: effectiveContext},
	{Name: "effective num_batch", Plan: batchCopies, Load: effectiveBatch},
	{Name: nameOfSettings, Load: effectiveSettings},
	{Name: "spill", Load: spill},
	{Name: "other models", Load: othersLoaded, Sample: othersDuringSample},
	{Name: "warm-up", Sample: reloaded},
	{Name: "memory given back", Load: secondTry},
	{Name: "thermal and power", Sample: throttled},
	{Name: "drift"},        // over the whole sweep: see Drift
	{Name: "hosts"},        // of several machines: see Hosts
	{Name: "busy machine"}, // marks samples for another measurement: see Busy
}

// Evidence is the input of a check. Figures that are zero are not known.
type Evidence struct {
	Version   string // of the server, such as "0.10.1"
	CLI       bool   // figures come from the ollama command, whose start takes time too
	GPU       bool   // the server is known to have a GPU
	Log       bool   // the server's log can be read
	Exclusive bool   // no other client may use the server
	NumCtx    int    // requested, tokens
	NumBatch  int    // requested, tokens; 0 for the server's own
	// Asked are the requested load options and settings of the server besides these, without those that
	// are left to the server.
	Asked      cell.Settings
	NumPredict int // tokens
	TrainedCtx int // tokens of context that the model was trained for
	System     int // bytes of the model's system prompt

	// PromptTokens is the expected length of the prompt: as counted by the server in an
	// earlier sample or, where Estimated, computed from parts of the prompt.
	PromptTokens int
	Estimated    bool

	// Head is the most tokens that two prompts can have in common at their start, so that they
	// may come out of the cache: those of the template, and of a nonce.
	Head int

	Retries int                // failed tries of this cell before
	Loaded  measurement.Loaded // the current load
	Sample  measurement.Sample

	// Ceiling is the highest plausible rate of the sample in tokens per second, given
	// the earlier samples.
	Ceiling float64
}

// Finding is the result of a check that a measurement did not pass.
type Finding struct {
	Check string // name
	// Class is the failure of the cell, empty for a warning.
	Class measurement.Class
	// Again says that the sample must not count, but that the reason may pass, so
	// that another sample is taken. After several in a row it is a failure of the
	// cell or, without a class, ends the sweep.
	Again bool
	Text  string // figures and remedy
}

func (f Finding) String() string { return f.Check + ": " + f.Text }

// Failure returns the finding as a failure of the cell.
func (f Finding) Failure() *measurement.Failure {
	return &measurement.Failure{Class: f.Class, Detail: f.String()}
}

// reworded turns warnings of earlier releases into those of this one.
var reworded = strings.NewReplacer(
	"num_ctx in force: ", "effective num_ctx: ",
	"num_batch in force: ", "effective num_batch: ",
	"-server-log, which tells", "-server-log, which shows it",
	" stands before every prompt", " precedes every prompt",
)

// Kind returns what the warnings of several cells have in common that reports show once: the check and,
// where it compares settings, everything.
func Kind(warning string) string {
	check, _, _ := strings.Cut(warning, ": ")
	if check == nameOfSettings {
		return warning
	}
	return check
}

// Reworded returns a warning from a checkpoint in the words of this release, so that it can be
// compared with a [Finding].
func Reworded(warning string) string { return reworded.Replace(warning) }

// Plan returns the findings about a cell before it is measured.
func Plan(e *Evidence) []Finding {
	return look(e, func(c Check) func(*Evidence) []Finding { return c.Plan })
}

// Load returns the findings about a cell that was just loaded.
func Load(e *Evidence) []Finding {
	return look(e, func(c Check) func(*Evidence) []Finding { return c.Load })
}

// Sample returns the findings about a sample.
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

// sentence formats a finding, with rounded durations.
func sentence(format string, args []any) string {
	args = slices.Clone(args)
	for i, arg := range args {
		if d, ok := arg.(time.Duration); ok {
			args[i] = round(d)
		}
	}
	return fmt.Sprintf(format, args...)
}

// round rounds a duration to three digits, or to a second where it is a minute or more.
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
