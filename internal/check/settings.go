package check

import (
	"golang.org/x/mod/semver"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// effectiveContext compares the effective num_ctx with the requested one. Servers
// lower it to what the model was trained for. Before 0.15.5 they still report the
// requested one, so that the model's own figure decides.
func effectiveContext(e *Evidence) []Finding {
	const remedy = "leave out num_ctx above that"
	shown, logged := e.Loaded.ContextLength, e.Loaded.Effective.NumCtx
	switch {
	case shown > 0 && shown != e.NumCtx:
		return fail(measurement.ContextClamped, "requested num_ctx=%d, effective is %d (/api/ps); %s", e.NumCtx, shown, remedy)
	case logged > 0 && logged < e.NumCtx:
		return fail(measurement.ContextClamped, "requested num_ctx=%d, effective is %d (the server's log); %s", e.NumCtx, logged, remedy)
	case e.TrainedCtx > 0 && e.NumCtx > e.TrainedCtx && Before(e.Version, "0.15.5"):
		return fail(measurement.ContextClamped, "requested num_ctx=%d, but the model was trained for %d, to which this server lowers it; %s", e.NumCtx, e.TrainedCtx, remedy)
	}
	return nil
}

// fixedPass is the size of a pass (n_ubatch) in the llama.cpp runner of servers
// that pass on num_batch only.
const fixedPass = 512

// batchCopies warns of cells that are copies of others on any server, or on one of
// this version.
func batchCopies(e *Evidence) []Finding {
	var found []Finding
	if e.PromptTokens > 0 && e.NumBatch > e.PromptTokens {
		found = warn("num_batch is above the prompt's %d tokens, so that one pass holds all of it: every such num_batch is a copy of the same cell; use a longer prompt or a smaller num_batch", e.PromptTokens)
	}
	logged := e.Loaded.Effective.NumBatch > 0 || e.Log && e.Loaded.Warmup.PromptEvalCount == 0 // or will be, once the cell is loaded
	if e.NumBatch > fixedPass && !Before(e.Version, "0.5.7") && Before(e.Version, "0.13.3") && !logged {
		found = append(found, warn("Ollama %s on the llama.cpp runner takes no more than %d tokens in a pass, so that every num_batch above is a copy of %d; update Ollama, or name the server's log with -server-log, which shows it", e.Version, fixedPass, fixedPass)...)
	}
	return found
}

// effectiveBatch compares the effective num_batch, which only the server's log
// shows, with the requested one.
func effectiveBatch(e *Evidence) []Finding {
	if got := e.Loaded.Effective.NumBatch; got > 0 && got < e.NumBatch {
		return warn("requested num_batch=%d, effective is %d (the server's log): this cell is a copy of the one with that; leave it out", e.NumBatch, got)
	}
	return nil
}

// OwnBatch returns the server's own num_batch for a num_ctx by its version, 0 where the
// version is not known. From 0.30 on the server may choose a smaller one where memory is
// short (server/sched.go, 0.32.5).
func OwnBatch(version string, numCtx int) int {
	switch {
	case !semver.IsValid("v" + trimV(version)):
		return 0
	case Before(version, "0.30.0") || numCtx <= 4096:
		return min(512, numCtx)
	case numCtx <= 32768:
		return 1024
	}
	return 2048
}

// Before reports whether a version such as "0.10.1" or "v0.12.0-rc1" is older than
// another. One that can't be read, like that of a server built from a working tree,
// counts as new.
func Before(version, than string) bool {
	return released(version) && semver.Compare("v"+trimV(version), "v"+than) < 0
}

// released reports whether a version can be read, and is not that of a working tree.
func released(version string) bool {
	v := "v" + trimV(version)
	return semver.IsValid(v) && v != "v0.0.0"
}

func trimV(version string) string {
	if len(version) > 0 && version[0] == 'v' {
		return version[1:]
	}
	return version
}
