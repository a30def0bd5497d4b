package parse

import (
	"regexp"
	"strconv"
	"strings"
)

// InForce holds the settings of a load as the server's log tells them. Zero is
// what it does not tell.
type InForce struct {
	NumCtx   int `json:"num_ctx,omitempty"`   // tokens of one sequence
	NumBatch int `json:"num_batch,omitempty"` // tokens that a forward pass takes at most
	Parallel int `json:"parallel,omitempty"`  // sequences
}

// start matches the line with which a load begins:
//
//	msg="starting llama server" cmd="/usr/bin/ollama runner --model … --ctx-size 1024 --batch-size 8 --threads 1 --parallel 1 --port 34927"
//	msg="starting llama-server" cmd="/usr/lib/ollama/llama-server --model … -c 8192 -np 1 … -b 512 -ub 512 …"
//	msg=load request="{Operation:commit LoraPath:[] Parallel:1 BatchSize:512 FlashAttention:false KvSize:4096 …}"
//
// The first is that of the versions up to 0.11, the second from 0.30 on; in
// between the third tells what the command does not. Several loads of the third
// kind can stand in the log, of which the last is the one that was made.
var start = regexp.MustCompile(`(?:starting llama[ -]server|starting runner|msg=load)"?\s.*`)

// settings match the figures of such a line, in their several spellings.
var (
	ctxSize   = regexp.MustCompile(`(?:(?:--ctx-size|-c)[ =]|KvSize:)(\d+)`)
	batchSize = regexp.MustCompile(`(?:(?:--batch-size|-b)[ =]|BatchSize:)(\d+)`)
	passSize  = regexp.MustCompile(`(?:--ubatch-size|-ub)[ =](\d+)`)
	parallel  = regexp.MustCompile(`(?:(?:--parallel|-np)[ =]|Parallel:)(\d+)`)
)

// physical matches what llama.cpp says of its own passes after a load. Its
// n_batch is no help: small ones are raised to 64, and the runner goes on to
// pass fewer tokens.
//
//	llama_context: n_ubatch      = 512
//	llama_new_context_with_model: n_ubatch   = 512
var physical = regexp.MustCompile(`(?:llama_context|llama_new_context_with_model): n_ubatch +=[ ]*(\d+)`)

// ServerLog reads the settings of the newest load in a part of a server's log,
// and returns false when it tells of none.
func ServerLog(text []byte) (InForce, bool) {
	var f InForce
	found := false
	for line := range strings.Lines(Plain(text)) {
		switch load := start.FindString(line); {
		case load != "":
			next := InForce{NumCtx: number(ctxSize, load), NumBatch: least(number(batchSize, load), number(passSize, load)), Parallel: number(parallel, load)}
			if next == (InForce{}) {
				break // a start whose settings come with a line of their own
			}
			if next.Parallel > 1 {
				next.NumCtx /= next.Parallel
			}
			f, found = next, true
		case found:
			f.NumBatch = least(f.NumBatch, number(physical, line))
		}
	}
	return f, found
}

// number returns the last figure that the pattern finds, 0 for none and for
// one that is no setting.
func number(pattern *regexp.Regexp, line string) int {
	all := pattern.FindAllStringSubmatch(line, -1)
	if len(all) == 0 {
		return 0
	}
	n, err := strconv.Atoi(all[len(all)-1][1])
	if err != nil {
		return 0
	}
	return n
}

// least returns the smaller of two figures of which each may be unknown.
func least(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// LogFailure returns the newest line of a server's log that tells of memory that
// could not be had, and false when none does. A runner that dies of it can show
// over the API as no more than an exit status.
func LogFailure(text []byte) (*Failure, bool) {
	var found *Failure
	for line := range strings.Lines(Plain(text)) {
		line = strings.TrimSpace(line)
		switch class := Classify(line); class {
		case OutOfGPUMemory, OutOfSystemMemory, ResourceAllocation:
			found = &Failure{Class: class, Detail: line}
		}
	}
	return found, found != nil
}
