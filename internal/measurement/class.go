package measurement

import "fmt"

// Class says why a cell could not be measured. Its text stands in the
// checkpoint, the table and the picture; what follows from it is in its row of
// the table of classes.
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

// Two conditions of the server that are no cell's failure: the caller waits
// and tries again.
const (
	ServerBusy Class = "server busy"
	ServerAway Class = "server away"
)

// OfCell reports whether c is a failure of the cell that was being measured,
// and not a condition of the server.
func (c Class) OfCell() bool { return c.row().outcome == cellFails }

// Short returns the form of at most five letters that stands for the class
// where there is no room for its text.
func (c Class) Short() string {
	if short := c.row().short; short != "" {
		return short
	}
	return "FAIL"
}

// Retried reports whether the failure may come from memory that was not given
// back, or comes and goes for other reasons, so that the cell is to be tried a
// second time.
func (c Class) Retried() bool { return c.row().retry == retryOnce }

// OutOfMemory reports whether memory ended, the GPU's or the system's.
func (c Class) OutOfMemory() bool { return c.row().memory >= systemMemory }

// Prunes reports whether a cell that needs at least the memory of the failed one
// will fail as well.
func (c Class) Prunes() bool { return c.row().memory == gpuMemory }

// LacksResources reports whether memory or another resource of the machine was missing.
func (c Class) LacksResources() bool { return c.row().memory >= resources }

// MayHideMemory reports whether a lack of memory, which the server's log may name, can be the
// cause of the failure.
func (c Class) MayHideMemory() bool { return c.row().memory == mayHide }

// Failure is a measurement that failed, with the server's own words.
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

// Explained returns the failure as the server's log explains it. Only a runner
// dies of a lack of GPU memory: of a server that went away the log has to say that
// the system's ended.
func (f *Failure) Explained(logged *Failure) *Failure {
	if logged.Class == f.Class || logged.Class.Prunes() && !f.Class.OfCell() {
		return f
	}
	return &Failure{Class: logged.Class, Detail: fmt.Sprintf("%s (the server's log: %s)", f.Detail, logged.Detail)}
}
