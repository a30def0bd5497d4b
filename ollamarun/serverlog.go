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

// ServerLog is the file that a server writes its log to, which is read while it
// grows. A nil log tells nothing.
type ServerLog struct {
	path string
	from int64 // where the part begins that counts
	file os.FileInfo

	start ServerStart
	head  []byte // with which the file begins that start is of
	read  int64  // bytes of it
}

// howToLog says what a server's log is.
const howToLog = "name the one that `ollama serve` writes to; for a system service, `journalctl -fu ollama >FILE` makes one"

// OpenServerLog returns the log at path, of which what is written from now on
// counts. The error of a path that is no file, or can't be read, says what to
// name instead.
func OpenServerLog(path string) (*ServerLog, error) {
	l := &ServerLog{path: path}
	if err := l.Mark(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, howToLog)
	}
	if !l.file.Mode().IsRegular() {
		return nil, fmt.Errorf("server log %s is not a file: %s", path, howToLog)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading server log: %w: %s", err, howToLog)
	}
	return l, f.Close()
}

// Mark has only what is written from now on count.
func (l *ServerLog) Mark() (err error) {
	if l == nil {
		return nil
	}
	if l.file, err = os.Stat(l.path); err != nil {
		return fmt.Errorf("reading server log: %w", err)
	}
	l.from = l.file.Size()
	return nil
}

// mostLog bounds what is read of a log: the newest 4 MB.
const mostLog = 4 << 20

// Since returns what was written since Mark, or all of a file that has taken
// the place of the one of then, or that has been cut. Of more than mostLog bytes
// it is the newest. A file that has been cut and is longer again than it was at
// Mark can't be told from one that grew.
func (l *ServerLog) Since() (text []byte, err error) {
	err = l.open(func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		from := l.from
		if !os.SameFile(info, l.file) || info.Size() < from {
			from = 0
		}
		text, err = io.ReadAll(io.NewSectionReader(f, max(from, info.Size()-mostLog), mostLog))
		return err
	})
	return text, err
}

// Timing returns how many tokens of a prompt came out of the cache, and how many were evaluated, by
// the time that its evaluation took. It waits for a log that comes later than the answer, but no
// longer than logWait; false when the log does not tell, as before 0.30.
func (l *ServerLog) Timing(ctx context.Context, took time.Duration) (cached, evaluated int, ok bool, err error) {
	err = l.await(ctx, func(text []byte) bool {
		cached, evaluated, ok = parse.PromptTiming(text, took)
		return ok || !parse.TellsPrompts(text)
	})
	return cached, evaluated, ok, err
}

// open calls the function with the file; of a nil log it does nothing.
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

// A log can come later than the answer, as through journalctl.
const (
	logWait = 300 * time.Millisecond
	logPoll = 10 * time.Millisecond
)

// Effective returns the settings of the newest load since Mark, and false when
// the log tells of none. It returns as soon as the log has that load up to its
// end, since the first lines alone can tell a larger num_batch than is in force,
// and after logWait at the latest, with what there is.
func (l *ServerLog) Effective(ctx context.Context) (settings measurement.Effective, ok bool, err error) {
	err = l.await(ctx, func(text []byte) bool {
		settings, ok = parse.ServerLog(text)
		return ok && parse.ServerLogEnded(text)
	})
	return settings, ok, err
}

// Failure returns what the log says since Mark of memory that could not be had,
// and false when after logWait it says nothing.
func (l *ServerLog) Failure(ctx context.Context) (failure *measurement.Failure, ok bool, err error) {
	err = l.await(ctx, func(text []byte) bool {
		failure, ok = parse.LogFailure(text)
		return ok
	})
	return failure, ok, err
}

// await has found look at what the log says since Mark, each time that it has
// become longer, until it returns true or logWait is over.
func (l *ServerLog) await(ctx context.Context, found func(text []byte) bool) error {
	if l == nil {
		return nil
	}
	seen := -1
	for give := time.Now().Add(logWait); ; {
		text, err := l.Since()
		if err != nil {
			return err
		}
		if len(text) != seen && found(text) || time.Now().After(give) {
			return nil
		}
		seen = len(text)
		if err := sleep(ctx, logPoll); err != nil {
			return err
		}
	}
}

// Memory returns what the newest load since Mark takes, nil where the log does not say, and how it
// attends to its context (see parse.ServerLogAttention). It is there once the load has ended.
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
