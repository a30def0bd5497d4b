package measurement

// row is what a class implies. Every field must be set.
type row struct {
	class   Class
	short   string // at most five letters
	outcome outcome
	retry   retry
	memory  memory
}

// outcome is what an error means for the cell that was being measured.
type outcome int

const (
	_ outcome = iota
	cellFails
	sweepWaits // for the server, then measures the cell again
)

// retry is whether a cell is tried again before it fails.
type retry int

const (
	_ retry = iota
	retryNever
	retryOnce // when memory is free again
)

// memory is what an error implies about memory, in increasing order.
type memory int

const (
	_ memory = iota
	unrelated
	mayHide      // the server's log is searched for a lack of memory as its cause
	resources    // searched for in the log; temporary
	systemMemory // searched for in the log; memory ran out
	gpuMemory    // likewise, and will run out for all cells that need as much
)

// classes has the row of each class.
var classes = []row{
	{class: ServerBusy, short: "BUSY", outcome: sweepWaits, retry: retryNever, memory: unrelated},
	{class: PromptTruncated, short: "TRUNC", outcome: cellFails, retry: retryNever, memory: unrelated},
	{class: ResourceAllocation, short: "ALLOC", outcome: cellFails, retry: retryOnce, memory: resources},
	{class: OutOfSystemMemory, short: "RAM", outcome: cellFails, retry: retryOnce, memory: systemMemory},
	{class: OutOfGPUMemory, short: "OOM", outcome: cellFails, retry: retryOnce, memory: gpuMemory},
	{class: ModelError, short: "MODEL", outcome: cellFails, retry: retryNever, memory: mayHide},
	{class: Timeout, short: "TIME", outcome: cellFails, retry: retryNever, memory: mayHide},
	{class: RunnerCrashed, short: "CRASH", outcome: cellFails, retry: retryOnce, memory: mayHide},
	{class: ServerAway, short: "AWAY", outcome: sweepWaits, retry: retryNever, memory: mayHide},
	{class: NoFigures, short: "PARSE", outcome: cellFails, retry: retryNever, memory: mayHide},
	{class: ContextClamped, short: "CLAMP", outcome: cellFails, retry: retryNever, memory: unrelated},
}

// row returns the row of the class, empty for an unknown class.
func (c Class) row() row {
	for _, r := range classes {
		if r.class == c {
			return r
		}
	}
	return row{}
}
