package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/simulate"
)

// meterAt returns a meter of two strategies with a clock that the test sets.
func meterAt(b *strings.Builder, clock *time.Time) *meter {
	begun := *clock
	return &meter{w: b, now: func() time.Time { return *clock }, begun: begun, shown: begun, plays: []progress{{name: "best", of: 20}, {name: "golden", of: 20}}}
}

func TestMeterText(t *testing.T) {
	var b strings.Builder
	clock := time.Unix(0, 0)
	m := meterAt(&b, &clock)
	assert.Equal(t, "0 of 40 plays; 0s", m.text(0), "the time left is not known")
	for range 20 {
		m.count(simulate.Played{Strategy: "golden", Took: time.Millisecond})
	}
	assert.Equal(t, "20 of 40 plays; 3s", m.text(3*time.Second))
	for range 5 {
		m.count(simulate.Played{Strategy: "best", Took: 2 * time.Second})
	}
	at := runtime.GOMAXPROCS(0)
	assert.Equal(t, fmt.Sprintf("25 of 40 plays; 10s, about %v left", (30*time.Second/time.Duration(min(at, 15))).Round(time.Second)), m.text(10*time.Second), "cores share the plays left")
	for range 15 {
		m.count(simulate.Played{Strategy: "best", Took: 2 * time.Second})
	}
	assert.Equal(t, "40 of 40 plays; 40s", m.text(40*time.Second))
}

// TestMeterWithoutTerminal: lines appear every ten seconds, and none for short plays.
func TestMeterWithoutTerminal(t *testing.T) {
	var b strings.Builder
	clock := time.Unix(0, 0)
	m := meterAt(&b, &clock)
	for range 49 {
		clock = clock.Add(redrawInterval)
		m.show()
	}
	assert.Equal(t, "simulate: 0 of 40 plays; 10s\nsimulate: 0 of 40 plays; 20s\n", b.String())
}

// TestMeterOnATerminal: one line is redrawn, at most as wide as the terminal, and erased at the
// end.
func TestMeterOnATerminal(t *testing.T) {
	var b strings.Builder
	clock := time.Unix(0, 0)
	m := meterAt(&b, &clock)
	m.width = 14
	m.show()
	m.show()
	assert.Equal(t, strings.Repeat("\r0 of 40 plays\x1b[K", 2), b.String())
	b.Reset()
	m.run()()
	assert.True(t, strings.HasSuffix(b.String(), "\r\x1b[K"))
	assert.NotContains(t, b.String(), "\n")
}

func TestNewMeter(t *testing.T) {
	m := newMeter(os.Stderr, simulate.Options{Strategies: []string{"best"}, Seeds: 3}, 2)
	assert.Equal(t, progress{name: "best", of: 6}, m.plays[0])
	assert.Len(t, m.plays, 4)
}
