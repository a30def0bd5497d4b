package setup

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// IsTerminal reports whether the file is a terminal that can show a progress bar.
func IsTerminal(f *os.File) bool {
	return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// screen is standard output with a progress bar below the written lines, while
// one is shown.
type screen struct {
	out io.Writer // writes to the terminal
	fd  int       // of the terminal
	now func() time.Time

	mu       sync.Mutex
	bars     *mpb.Progress // nil while none is shown
	bar      *mpb.Bar
	progress sweep.Progress
	at       time.Time // of the progress
}

// refreshRate is how often the bar's times are redrawn. That takes too little work to
// disturb a measurement.
const refreshRate = 500 * time.Millisecond

// show shows the bar of a plan with so many cells; without a screen it does nothing.
func (s *screen) show(cells int) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	console := cupwriter.New(s.out, true)
	console.SetTermFd(s.fd)
	s.bars = mpb.New(mpb.WithConsoleWriter(console), mpb.WithRefreshRate(refreshRate))
	// A full bar would end, so this one has a cell more.
	s.bar = s.bars.New(int64(cells)+1, mpb.BarStyle().Lbound("[").Rbound("]").Filler("=").Tip(">").Padding("-"),
		mpb.BarWidth(20), mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return s.text() })))
}

// hide removes the bar; later lines are written in its place.
func (s *screen) hide() {
	if s == nil {
		return
	}
	s.mu.Lock()
	bars, bar := s.bars, s.bar
	s.bars, s.bar = nil, nil
	s.mu.Unlock()
	if bars != nil {
		bar.Abort(true)
		bars.Wait()
	}
}

// update shows the progress of the run in the bar.
func (s *screen) update(p sweep.Progress) {
	s.mu.Lock()
	if p.Begins {
		p.Last = s.progress.Last // of the cell before
	}
	s.progress, s.at = p, s.now()
	bar := s.bar
	s.mu.Unlock()
	if bar == nil {
		return
	}
	done := p.Number
	if p.Begins {
		done = max(0, done-1)
	}
	bar.SetCurrent(int64(done))
}

// text returns the text after the bar:
//
//	3/28 ctx=1024/batch=32 | last 3383.0, best 3445.4 tokens/s | 1 failed | 1.2s, ETA 16s
func (s *screen) text() string {
	s.mu.Lock()
	p, since := s.progress, max(0, s.now().Sub(s.at))
	s.mu.Unlock()
	if p.Cells == 0 {
		return "reading the checkpoint"
	}
	text := fmt.Sprintf("%d/%d %s", p.Number, p.Cells, p.Name)
	if p.Best != nil {
		text += " | "
		if p.Last > 0 {
			text += fmt.Sprintf("last %.1f, ", p.Last)
		}
		text += fmt.Sprintf("best %.1f tokens/s", *p.Best.PromptEvalRate)
	}
	if p.Failed > 0 {
		text += fmt.Sprintf(" | %d failed", p.Failed)
	}
	seconds := func(d time.Duration) time.Duration { return d.Round(time.Second) }
	return text + fmt.Sprintf(" | %v%s", seconds(p.Elapsed+since), p.ETA(since, seconds))
}

// Write writes above the bar.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	bars := s.bars
	s.mu.Unlock()
	if bars != nil {
		if n, err := bars.Write(p); err == nil {
			return n, nil
		}
	}
	return s.out.Write(p)
}
