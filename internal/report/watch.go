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

// watchPoll is the interval at which the checkpoint is checked. Polling, unlike
// notifications, also works on shared file systems that another machine writes to.
const watchPoll = time.Second

// Watch writes picture and page whenever the checkpoint at in changes, until the
// context ends. in and o are as in [Remake]. It waits for a checkpoint that does not
// exist yet. It prints errors of reading and writing, and tries again.
func Watch(ctx context.Context, stdout io.Writer, in string, o Options) error {
	if in == "" {
		return errors.New("name the out folder of a sweep, or its checkpoint file")
	}
	fmt.Fprintf(stdout, "Watching %s; press Ctrl-C to stop.\n", in)
	w := watcher{in: in, options: o, stdout: stdout}
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	for {
		begun := time.Now()
		w.update()
		// Drawing thousands of cells takes seconds, and the machine may be measuring: use at
		// most a tenth of its time.
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
	in       string
	options  Options
	stdout   io.Writer
	modTimes [2]time.Time // of the checkpoint and its journal, when last read
	lastLine string       // last printed line
}

// update writes the files again if the checkpoint has changed.
func (w *watcher) update() {
	path := w.in
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, checkpoint.FileName)
	}
	changed, err := modTimes(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.print("waiting for %s", path)
		return
	case err != nil:
		w.print("looking for the checkpoint: %v", err)
		return
	case changed == w.modTimes:
		return
	}
	if err := w.make(path); err != nil {
		w.print("%v", err)
		return
	}
	w.modTimes = changed
}

// modTimes returns the modification times of the checkpoint and of its journal, which may
// not exist.
func modTimes(path string) (times [2]time.Time, err error) {
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
	out := w.options.Dir
	if out == "" {
		out = filepath.Dir(path)
	}
	g := newGrid(cp)
	if err := g.show(w.options.X, w.options.Y); err != nil {
		return err
	}
	if _, err := write(out, g, liveFormats); err != nil {
		return err
	}
	s := g.stats()
	best := ""
	if s.Best != nil {
		best = fmt.Sprintf(", best %.1f tokens/s at %s", *s.Best.PromptEvalRate, s.Best.Cell().Text())
	}
	w.print("%d of %d cells measured, %d failed%s; wrote %s and %s", s.Measured, s.Planned, s.Failed, best, HeatmapFile, filepath.Join(out, PageFile))
	return nil
}

// print prints a line, unless it is the same as the last one.
func (w *watcher) print(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); line != w.lastLine {
		w.lastLine = line
		fmt.Fprintln(w.stdout, line)
	}
}
