package measurement

// row is what follows from a class. Every field is given.
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
	sweepWaits // for the server, and then measures the cell again
)

// retry is how often a cell is tried again before it fails.
type retry int

const (
	_ retry = iota
	retryNever
	retryOnce // when memory was given back
)

// memory is what an error says of memory.
type memory int

const (
	_ memory = iota
	unrelated
	mayHide      // the server's log is looked up for a lack of memory behind it
	resources    // looked for in the log; comes and goes
	systemMemory // looked for in the log; memory ends here
	gpuMemory    // likewise, and it ends for all cells that need as much
)

// classes holds the row of each class.
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

// row returns the row of the class, empty for a text that is no class.
func (c Class) row() row {
	for _, r := range classes {
		if r.class == c {
			return r
		}
	}
	return row{}
}
