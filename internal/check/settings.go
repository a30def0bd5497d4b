package check

import (
	"golang.org/x/mod/semver"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// effectiveContext compares the num_ctx that is in force with the one asked for.
// Servers lower it to what the model was trained for. Before 0.15.5 they go on to
// show what was asked for, so that the model's own figure has to tell.
func effectiveContext(e *Evidence) []Finding {
	const remedy = "leave out the num_ctx above that"
	shown, logged := e.Loaded.ContextLength, e.Loaded.Effective.NumCtx
	switch {
	case shown > 0 && shown != e.NumCtx:
		return fail(measurement.ContextClamped, "asked for num_ctx=%d, in force is %d (/api/ps); %s", e.NumCtx, shown, remedy)
	case logged > 0 && logged < e.NumCtx:
		return fail(measurement.ContextClamped, "asked for num_ctx=%d, in force is %d (the server's log); %s", e.NumCtx, logged, remedy)
	case e.TrainedCtx > 0 && e.NumCtx > e.TrainedCtx && Before(e.Version, "0.15.5"):
		return fail(measurement.ContextClamped, "asked for num_ctx=%d, and the model was trained for %d, to which this server lowers it; %s", e.NumCtx, e.TrainedCtx, remedy)
	}
	return nil
}

// fixedPass is the size of a pass in the llama.cpp runner of the servers that
// pass num_batch on without it (n_ubatch).
const fixedPass = 512

// batchAsked tells of cells that are copies of others whatever the server does.
func batchAsked(e *Evidence) []Finding {
	var found []Finding
	if e.PromptTokens > 0 && e.NumBatch > e.PromptTokens {
		found = warn("num_batch is above the prompt's %d tokens, so that one pass holds all of it: every such num_batch is a copy of the same cell; use a longer prompt or a smaller num_batch", e.PromptTokens)
	}
	logTells := e.Loaded.Effective.NumBatch > 0 || e.Log && e.Loaded.Warmup.PromptEvalCount == 0 // or will, once the cell is loaded
	if e.NumBatch > fixedPass && !Before(e.Version, "0.5.7") && Before(e.Version, "0.13.3") && !logTells {
		found = append(found, warn("Ollama %s on the llama.cpp runner takes no more than %d tokens in a pass, so that every num_batch above is a copy of %d; update Ollama, or name the server's log with -server-log, which tells", e.Version, fixedPass, fixedPass)...)
	}
	return found
}

// effectiveBatch compares the num_batch that is in force, which only the server's
// log shows, with the one asked for.
func effectiveBatch(e *Evidence) []Finding {
	if got := e.Loaded.Effective.NumBatch; got > 0 && got < e.NumBatch {
		return warn("asked for num_batch=%d, in force is %d (the server's log): a copy of the cell with that; leave it out", e.NumBatch, got)
	}
	return nil
}

// OwnBatch returns the num_batch that a server of this version chooses by itself for a
// num_ctx, 0 where the version is not known. From 0.30 on it may choose a smaller one
// where memory is short (server/sched.go, 0.32.5).
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

// Before compares versions such as "0.10.1" or "v0.12.0-rc1"; one that can't be
// read, like that of a server built from a working tree, is taken as new.
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
