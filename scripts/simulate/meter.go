package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/ollama-sweep/ollama-sweep/internal/setup"
	"github.com/ollama-sweep/ollama-sweep/internal/simulate"
)

// meter shows the progress of the plays: on a terminal in a line that is redrawn, otherwise
// in a new line from time to time.
type meter struct {
	w     io.Writer
	width int // of the terminal in characters, 0 where w is no terminal
	now   func() time.Time

	mu    sync.Mutex
	begun time.Time
	shown time.Time // when a line was last written
	plays []progress
}

// progress is the number of plays of a strategy.
type progress struct {
	name     string
	done, of int
	took     time.Duration // of those done
}

// The intervals between lines on a terminal and elsewhere.
const (
	redrawInterval = 500 * time.Millisecond
	lineInterval   = 10 * time.Second
)

// newMeter starts a meter for the comparison on so many surfaces.
func newMeter(w io.Writer, o simulate.Options, surfaces int) *meter {
	m := &meter{w: w, now: time.Now}
	if f, ok := w.(*os.File); ok && setup.IsTerminal(f) {
		m.width, _, _ = term.GetSize(int(f.Fd()))
	}
	names, each := o.Plays(surfaces)
	for _, name := range names {
		m.plays = append(m.plays, progress{name: name, of: each})
	}
	m.begun = m.now()
	m.shown = m.begun
	return m
}

// run shows the meter until end is called.
func (m *meter) run() (end func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(redrawInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.show()
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		if m.width > 0 {
			fmt.Fprint(m.w, "\r\x1b[K")
		}
	}
}

// count adds a finished play.
func (m *meter) count(p simulate.Played) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.plays {
		if m.plays[i].name == p.Strategy {
			m.plays[i].done++
			m.plays[i].took += p.Took
		}
	}
}

// show redraws the line, or writes one where the interval has passed.
func (m *meter) show() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	switch text := m.text(now.Sub(m.begun)); {
	case m.width > 0:
		if line := []rune(text); len(line) >= m.width { // a wrapped line can't be redrawn
			text = string(line[:m.width-1])
		}
		fmt.Fprintf(m.w, "\r%s\x1b[K", text)
	case now.Sub(m.shown) >= lineInterval:
		m.shown = now
		fmt.Fprintln(m.w, "simulate: "+text)
	}
}

// text returns the line:
//
//	31 of 100 plays; 14s, about 30s left
func (m *meter) text(elapsed time.Duration) string {
	done, of := 0, 0
	var left time.Duration // of all plays, one after the other
	known := true          // each strategy has finished a play
	for _, p := range m.plays {
		done, of = done+p.done, of+p.of
		if p.done == 0 {
			known = false
			continue
		}
		left += p.took / time.Duration(p.done) * time.Duration(p.of-p.done)
	}
	text := fmt.Sprintf("%d of %d plays; %v", done, of, elapsed.Round(time.Second))
	if known && done < of {
		text += fmt.Sprintf(", about %v left", (left / time.Duration(min(runtime.GOMAXPROCS(0), of-done))).Round(time.Second))
	}
	return text
}
