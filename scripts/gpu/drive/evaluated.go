package main

import (
	"context"
	"time"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// How long after an answer the log may tell of its prompt, and how often that is looked for.
const (
	logWait = 300 * time.Millisecond
	logPoll = 2 * time.Millisecond
)

// serverLog reads of a server's log what was evaluated of each prompt.
type serverLog struct {
	*ollamarun.ServerLog
	silent int // prompts in a row of which it did not tell
}

// mostSilent is after how many prompts a log is held for one that never tells, as before 0.30.
const mostSilent = 5

// Evaluated waits for the line of a prompt whose evaluation took that long.
func (l *serverLog) Evaluated(ctx context.Context, took time.Duration) (cached, evaluated int, ok bool) {
	for give := time.Now().Add(logWait); l.silent < mostSilent; {
		text, err := l.Since()
		if err != nil {
			return 0, 0, false
		}
		if cached, evaluated, ok = parse.PromptTiming(text, took); ok {
			l.silent = 0
			return cached, evaluated, true
		}
		if ctx.Err() != nil || time.Now().After(give) {
			l.silent++
			break
		}
		time.Sleep(logPoll)
	}
	return 0, 0, false
}
