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

// IsTerminal reports whether a progress bar makes sense on the file: it is a
// terminal, and one that can draw.
func IsTerminal(f *os.File) bool {
	return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// screen is standard output with a progress bar below what is written, as long
// as one is shown.
type screen struct {
	out io.Writer // which leads to
	fd  int       // a terminal
	now func() time.Time

	mu   sync.Mutex
	bars *mpb.Progress // nil while none is shown
	bar  *mpb.Bar
	told sweep.Progress
	at   time.Time // when it was told
}

// refreshRate is how often the bar's times are drawn anew. Often enough to live,
// and no work to speak of beside a measurement.
const refreshRate = 500 * time.Millisecond

// show begins the bar of a plan of so many cells; without a screen it does nothing.
func (s *screen) show(cells int) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	console := cupwriter.New(s.out, true)
	console.SetTermFd(s.fd)
	s.bars = mpb.New(mpb.WithConsoleWriter(console), mpb.WithRefreshRate(refreshRate))
	// A bar that is full would end, so that this one never is.
	s.bar = s.bars.New(int64(cells)+1, mpb.BarStyle().Lbound("[").Rbound("]").Filler("=").Tip(">").Padding("-"),
		mpb.BarWidth(20), mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return s.text() })))
}

// hide takes the bar away; what is written from then on stands where it stood.
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

// tell has the bar show how far the run has come.
func (s *screen) tell(p sweep.Progress) {
	s.mu.Lock()
	if p.Begins {
		p.Last = s.told.Last // of the cell before
	}
	s.told, s.at = p, s.now()
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

// text is what stands behind the bar:
//
//	3/28 ctx=1024/batch=32 | last 3383.0, best 3445.4 tokens/s | 1 failed | 1.2s, ETA 16s
func (s *screen) text() string {
	s.mu.Lock()
	p, since := s.told, max(0, s.now().Sub(s.at))
	s.mu.Unlock()
	if p.Cells == 0 {
		return "looking at what stands"
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
