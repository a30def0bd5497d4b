package ollamarun

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// ServerLog is the file that a server writes its log to. It is read while it grows.
// A nil log is empty.
type ServerLog struct {
	path   string
	from   int64 // offset set by Mark
	prompt int64 // offset set by MarkPrompt, 0 for none since Mark
	file   os.FileInfo

	start measurement.ServerStart
	head  []byte // the first bytes of the file from which start was read
	read  int64  // bytes of that file that were searched for a start
}

// logAdvice ends the error of a path that is not a server's log.
const logAdvice = "name the file that `ollama serve` writes its log to; for a system service, `journalctl -fu ollama >FILE` writes one"

// OpenServerLog returns the log at path, marked at its end. The error for a path that
// is not a file or can't be read says what to name instead.
func OpenServerLog(path string) (*ServerLog, error) {
	l := &ServerLog{path: path}
	if err := l.Mark(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, logAdvice)
	}
	if !l.file.Mode().IsRegular() {
		return nil, fmt.Errorf("server log %s is not a file: %s", path, logAdvice)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading server log: %w: %s", err, logAdvice)
	}
	return l, f.Close()
}

// Mark makes the other methods, except Start, ignore what was written before.
func (l *ServerLog) Mark() (err error) {
	if l == nil {
		return nil
	}
	if l.file, err = os.Stat(l.path); err != nil {
		return fmt.Errorf("reading server log: %w", err)
	}
	l.from, l.prompt = l.file.Size(), 0
	return nil
}

// MarkPrompt makes Timing ignore what was written before. A load's log grows with each prompt, to
// megabytes.
func (l *ServerLog) MarkPrompt() {
	if l == nil {
		return
	}
	if info, err := os.Stat(l.path); err == nil { // else Timing returns the error
		l.prompt = info.Size()
	}
}

// maxLog limits how much of a log is read, in bytes.
const maxLog = 4 << 20

// Since returns what was written since Mark, or the whole file if it has replaced
// that of Mark or was truncated. If that is more than maxLog bytes, it returns the
// last ones. A file that was truncated and is longer again than at Mark looks like
// one that has grown.
func (l *ServerLog) Since() ([]byte, error) {
	if l == nil {
		return nil, nil
	}
	return l.since(l.from)
}

// since returns what was written from a byte of the marked file on, as Since does.
func (l *ServerLog) since(from int64) (text []byte, err error) {
	err = l.open(func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if !os.SameFile(info, l.file) || info.Size() < from {
			from = 0
		}
		text, err = io.ReadAll(io.NewSectionReader(f, max(from, info.Size()-maxLog), maxLog))
		return err
	})
	return text, err
}

// Timing returns how many tokens of a prompt came out of the cache and how many were evaluated. It
// finds the prompt by the duration of its evaluation, since MarkPrompt or else since Mark. Since the
// log can be written after the answer, it waits for up to logWait. It returns false if the log does not
// have the prompt, as before 0.30.
func (l *ServerLog) Timing(ctx context.Context, took time.Duration) (cached, evaluated int, ok bool, err error) {
	if l == nil {
		return 0, 0, false, nil
	}
	marked := l.prompt > 0
	err = l.awaitSince(ctx, max(l.from, l.prompt), func(text []byte) bool {
		cached, evaluated, ok = parse.PromptTiming(text, took)
		return ok || !marked && !parse.LogsPrompts(text)
	})
	return cached, evaluated, ok, err
}

// open opens the log and calls the function with it; for a nil log it does nothing.
func (l *ServerLog) open(from func(*os.File) error) error {
	if l == nil {
		return nil
	}
	f, err := os.Open(l.path)
	if err == nil {
		defer f.Close()
		err = from(f)
	}
	if err != nil {
		return fmt.Errorf("reading server log: %w", err)
	}
	return nil
}

// A log can be written after the answer, for example through journalctl.
const (
	logWait = 300 * time.Millisecond
	logPoll = 10 * time.Millisecond
)

// Effective returns the effective settings of the newest load since Mark, and false if
// the log has none. It waits until the log shows the end of that load, because the
// first lines can have a larger num_batch than the effective one, but at most for
// logWait; then it returns what the log has so far.
func (l *ServerLog) Effective(ctx context.Context) (settings measurement.Effective, ok bool, err error) {
	err = l.await(ctx, func(text []byte) bool {
		settings, ok = parse.ServerLog(text)
		return ok && parse.ServerLogEnded(text)
	})
	return settings, ok, err
}

// Failure returns the failed allocation that the log reports since Mark, and false if
// it reports none within logWait.
func (l *ServerLog) Failure(ctx context.Context) (failure *measurement.Failure, ok bool, err error) {
	err = l.await(ctx, func(text []byte) bool {
		failure, ok = parse.LogFailure(text)
		return ok
	})
	return failure, ok, err
}

// await calls found with the log since Mark each time that it has grown, until found
// returns true or logWait is over.
func (l *ServerLog) await(ctx context.Context, found func(text []byte) bool) error {
	if l == nil {
		return nil
	}
	return l.awaitSince(ctx, l.from, found)
}

// awaitSince is await from a byte of the marked file on.
func (l *ServerLog) awaitSince(ctx context.Context, from int64, found func(text []byte) bool) error {
	seen := -1
	for deadline := time.Now().Add(logWait); ; {
		text, err := l.since(from)
		if err != nil {
			return err
		}
		if len(text) != seen && found(text) || time.Now().After(deadline) {
			return nil
		}
		seen = len(text)
		if err := sleep(ctx, logPoll); err != nil {
			return err
		}
	}
}

// Memory returns the memory of the newest load since Mark, nil if the log does not report it, and the
// load's attention settings (see parse.ServerLogAttention). The log has both when the load has ended.
func (l *ServerLog) Memory() (memory *measurement.Memory, attention string, err error) {
	if l == nil {
		return nil, "", nil
	}
	text, err := l.Since()
	if err != nil {
		return nil, "", err
	}
	return parse.ServerLogMemory(text), parse.ServerLogAttention(text), nil
}
