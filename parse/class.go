package parse

import "fmt"

// Class says why a cell could not be measured. Its text stands in the
// checkpoint, the table and the picture.
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
func (c Class) OfCell() bool {
	switch c {
	case OutOfGPUMemory, ResourceAllocation, OutOfSystemMemory, Timeout, NoFigures, RunnerCrashed, PromptTruncated, ContextClamped, ModelError:
		return true
	}
	return false
}

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
