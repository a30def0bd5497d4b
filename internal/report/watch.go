package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// watchPoll is how often the checkpoint is looked at. Looking, and not waiting to
// be told, works on shared file systems too, where the sweep's machine is another.
const watchPoll = time.Second

// Watch makes picture and page anew each time the checkpoint at in changes, as
// Remake does once, until the context ends. It waits for a checkpoint that is not
// there yet. What it can't read it tells of, and looks again.
func Watch(ctx context.Context, stdout io.Writer, in, out string) error {
	if in == "" {
		return errors.New("name the out folder of a sweep, or its checkpoint file")
	}
	fmt.Fprintf(stdout, "Watching %s; Ctrl-C ends that.\n", in)
	w := watcher{in: in, out: out, stdout: stdout}
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	for {
		begun := time.Now()
		w.look()
		// A picture of thousands of cells takes seconds: this machine has other work.
		pause := time.NewTimer(10 * time.Since(begun))
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

type watcher struct {
	in, out string
	stdout  io.Writer
	seen    [2]time.Time // when the checkpoint and its journal changed last
	said    string       // newest line
}

// look makes the files anew if the checkpoint is another than before.
func (w *watcher) look() {
	path := w.in
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, checkpoint.FileName)
	}
	changed, err := changes(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.say("no %s yet", path)
		return
	case err != nil:
		w.say("looking for the checkpoint: %v", err)
		return
	case changed == w.seen:
		return
	}
	if err := w.make(path); err != nil {
		w.say("%v", err)
		return
	}
	w.seen = changed
}

// changes returns when the checkpoint and its journal, which may not be there, changed last.
func changes(path string) (times [2]time.Time, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return times, err
	}
	times[0] = info.ModTime()
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(checkpoint.JournalOf(path)); err == nil {
		times[1] = info.ModTime()
	}
	return times, nil
}

func (w *watcher) make(path string) error {
	cp, err := checkpoint.Load(path)
	if err != nil {
		return err
	}
	out := w.out
	if out == "" {
		out = filepath.Dir(path)
	}
	if _, err := prepare(out); err != nil {
		return err
	}
	if err := Refresh(out, cp); err != nil {
		return err
	}
	s := newGrid(cp).stats()
	best := ""
	if s.Best != nil {
		best = fmt.Sprintf(", best %.1f tokens/s at %s", *s.Best.PromptEvalRate, inWords(s.Best.Cell()))
	}
	w.say("%d of %d cells measured, %d failed%s; wrote %s and %s", s.Measured, s.Planned, s.Failed, best, HeatmapFile, filepath.Join(out, PageFile))
	return nil
}

// say prints a line, but not the same again.
func (w *watcher) say(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); line != w.said {
		w.said = line
		fmt.Fprintln(w.stdout, line)
	}
}
