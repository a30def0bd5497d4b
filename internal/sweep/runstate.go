package sweep

import (
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// serverState is what a run knows of the server's memory.
type serverState struct {
	cell   cell.Key           // the cell that is loaded, the zero value for none
	loaded measurement.Loaded // what the server reported of it
	gpu    bool               // the server has put a model into GPU memory
	// prompted is set once the loaded cell has read a whole prompt.
	prompted bool
	// attentionChecked is set by verifyLoad, and reset when the server was restarted.
	attentionChecked bool
}

// promptCounts is what a run knows of the prompt's length.
type promptCounts struct {
	tokens map[promptKey]int    // as the server counts
	sizing []check.AcceptedRate // rates of the prompts that sized it
	// sizedWith are the settings besides num_ctx and num_batch of the cell that they were sent to.
	sizedWith cell.Settings
}

// promptKey is what the length of a prompt depends on.
type promptKey struct {
	numCtx  int    // 0 where all prompts have the same length
	version string // of the server, where that is an axis
}

// tally counts the loads of the plan in this run.
type tally struct {
	spent       []time.Duration   // on each load, at most CellTimeout each
	timings     timings           // of the loads and their prompts
	failed      int               // loads that failed
	repeats     int               // loads for automatic samples
	failedCells map[cell.Key]bool // cells that failed in this run
}

// outlook is what the strategy predicts of the loads to the end.
type outlook struct {
	loads  int   // of the plan that are left, where counts is set
	counts bool  // the strategy knows how many are left
	ahead  Range // the same of a search, as it has predicted last
	done   bool  // the strategy wants nothing more
	warned bool  // of the deadline
}

// retakeState is the disturbed cells that were measured again.
type retakeState struct {
	cells map[cell.Key]bool
	// inVain is the number of them in a row that were disturbed again.
	inVain int
}

// redone are cells whose earlier samples were replaced, or kept because the caller skipped them.
type redone struct {
	cells  map[cell.Key]bool
	copied bool // the checkpoint, before the first of these was replaced
}
