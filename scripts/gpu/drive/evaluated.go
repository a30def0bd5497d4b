package main

import (
	"context"
	"time"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

const (
	logWait = 300 * time.Millisecond // for the log line of a prompt after its answer
	logPoll = 2 * time.Millisecond
)

// serverLog reads from a server's log how many tokens of each prompt were evaluated.
type serverLog struct {
	*ollamarun.ServerLog
	silent int // prompts in a row without a line in the log
}

// maxSilent is after how many such prompts the log is no longer read. Versions before 0.30 never write
// the line.
const maxSilent = 5

// Evaluated waits for the line of a prompt whose evaluation took that long.
func (l *serverLog) Evaluated(ctx context.Context, took time.Duration) (cached, evaluated int, ok bool) {
	for deadline := time.Now().Add(logWait); l.silent < maxSilent; {
		text, err := l.Since()
		if err != nil {
			return 0, 0, false
		}
		if cached, evaluated, ok = parse.PromptTiming(text, took); ok {
			l.silent = 0
			return cached, evaluated, true
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			l.silent++
			break
		}
		time.Sleep(logPoll)
	}
	return 0, 0, false
}
