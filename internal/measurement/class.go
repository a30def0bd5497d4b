package measurement

import "fmt"

// Class is the reason why a cell could not be measured. Its text is used in the
// checkpoint, the table and the picture. What the class implies is in its row of
// the table classes.
type Class string

// The classes of a failed cell.
const (
	OutOfGPUMemory     Class = "CUDA OOM" // of a GPU of any maker
	ResourceAllocation Class = "CUDA resource allocation error"
	OutOfSystemMemory  Class = "Out of system memory"
	Timeout            Class = "Timeout or no output"
	NoFigures          Class = "Parse error"
	RunnerCrashed      Class = "Runner crashed"
	PromptTruncated    Class = "Prompt truncated"
	ContextClamped     Class = "Context clamped"
	ModelError         Class = "Model error"
)

// Two conditions of the server that are not failures of a cell: the caller waits
// and tries again.
const (
	ServerBusy Class = "server busy"
	ServerAway Class = "server away"
)

// FailsCell reports whether c is a failure of the cell that was being measured,
// and not a condition of the server.
func (c Class) FailsCell() bool { return c.row().outcome == cellFails }

// Short returns the short form of the class, at most five letters, for places
// without room for its text.
func (c Class) Short() string {
	if short := c.row().short; short != "" {
		return short
	}
	return "FAIL"
}

// Retried reports whether the cell gets a second try, because the failure may come
// from memory that was not freed yet, or may be temporary for other reasons.
func (c Class) Retried() bool { return c.row().retry == retryOnce }

// OutOfMemory reports whether the GPU or the system ran out of memory.
func (c Class) OutOfMemory() bool { return c.row().memory >= systemMemory }

// Prunes reports whether cells that need at least as much memory as the failed one
// will fail as well.
func (c Class) Prunes() bool { return c.row().memory == gpuMemory }

// LacksResources reports whether memory or another resource of the machine was missing.
func (c Class) LacksResources() bool { return c.row().memory >= resources }

// MayHideMemory reports whether a lack of memory, which the server's log may name, can be the
// cause of the failure.
func (c Class) MayHideMemory() bool { return c.row().memory == mayHide }

// Failure is a failed measurement, with the server's message as its detail.
type Failure struct {
	Class  Class
	Detail string
}

func (f *Failure) Error() string {
	if f.Detail == "" {
		return string(f.Class)
	}
	return fmt.Sprintf("%s: %s", f.Class, f.Detail)
}

// Explained returns the failure with the class and message of the server's log. A
// lack of GPU memory ends only the runner, so it does not explain why a server went
// away; a lack of system memory does.
func (f *Failure) Explained(logged *Failure) *Failure {
	if logged.Class == f.Class || logged.Class.Prunes() && !f.Class.FailsCell() {
		return f
	}
	return &Failure{Class: logged.Class, Detail: fmt.Sprintf("%s (the server's log: %s)", f.Detail, logged.Detail)}
}
