package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// advice is what to set, and what that is worth.
type advice struct {
	cp       *sweep.Checkpoint
	cell     sweep.Cell
	rate     verdict.Interval // of the cell; as a search believes, where one decided
	believed bool
	frontier []sweep.ColumnBest
	memory   memoryEnd
}

// nearBest is how far below the best a num_ctx's own best may lie to be as good:
// somebody who needs room for long texts gives up so much for it.
const nearBest = 0.05

// advise returns nil while no cell has a rate.
func (g *grid) advise(v *sweep.Verdict) *advice {
	if v == nil {
		return nil
	}
	a := &advice{cp: g.cp, cell: sweep.Cell{Ctx: v.Recommended.Ctx, Batch: v.Recommended.Batch}, frontier: g.cp.Frontier(), memory: g.memoryEnd()}
	a.rate, _ = verdict.IntervalOf(v.Recommended.Rates)
	if s := v.Search; s != nil && s.Best == a.cell {
		a.rate, a.believed = verdict.Interval{Median: s.Rate, Low: s.Low, High: s.High, N: a.rate.N, Bounded: true}, true
	}
	return a
}

// rateText gives the rate with its interval, where it has one, and what it rests
// on.
func (a *advice) rateText() string {
	in := a.rate
	text := fmt.Sprintf("%.1f tokens/s", in.Median)
	samples := fmt.Sprintf("%d samples", in.N)
	if in.N == 1 {
		samples = "1 sample"
	}
	switch {
	case a.believed:
		return text + fmt.Sprintf(" (as the search believes: 95 %% interval %.1f to %.1f, %s)", in.Low, in.High, samples)
	case in.Bounded:
		return text + fmt.Sprintf(" (95 %% interval %.1f to %.1f, %s)", in.Low, in.High, samples)
	}
	return text + fmt.Sprintf(" (%s)", samples)
}

// longest returns the largest num_ctx whose own best is within nearBest of the
// rate of the recommended cell.
func (a *advice) longest() (sweep.ColumnBest, bool) {
	for _, c := range slices.Backward(a.frontier) {
		if c.Rate >= (1-nearBest)*a.rate.Median {
			return c, true
		}
	}
	return sweep.ColumnBest{}, false
}

// memoryEnd is where memory ends on a grid. Cells are zero where there are none.
type memoryEnd struct {
	works int        // the largest num_ctx that has a rate
	ran   sweep.Cell // the smallest, by num_ctx and then num_batch, that ran out of GPU memory or of system memory
	spill sweep.Cell // likewise, whose model was not in GPU memory as a whole
}

func (g *grid) memoryEnd() (m memoryEnd) {
	none := sweep.Cell{}
	for _, ctx := range g.ctx {
		for _, batch := range g.batch {
			c := sweep.Cell{Ctx: ctx, Batch: batch}
			at, r := g.at(c)
			switch {
			case at == measured:
				m.works = max(m.works, ctx)
				if m.spill == none && g.spilled(r) {
					m.spill = c
				}
			case at == failed && m.ran == none && (*r.Error == parse.OutOfGPUMemory || *r.Error == parse.OutOfSystemMemory):
				m.ran = c
			}
		}
	}
	return m
}

// text says it in words.
func (m memoryEnd) text() string {
	none := sweep.Cell{}
	switch {
	case m.ran != none && m.spill != none:
		return fmt.Sprintf("a part of the model is not in GPU memory from %s on, and memory ends at %s; the largest num_ctx that works is %d", inWords(m.spill), inWords(m.ran), m.works)
	case m.ran != none:
		return fmt.Sprintf("memory ends at %s; the largest num_ctx that works is %d", inWords(m.ran), m.works)
	case m.spill != none:
		return fmt.Sprintf("a part of the model is not in GPU memory from %s on", inWords(m.spill))
	}
	return fmt.Sprintf("memory did not end: num_ctx=%d works, the largest that was measured", m.works)
}

// texts says what to set, and then what that is worth.
func (a *advice) texts(s Stats) []string {
	texts := []string{fmt.Sprintf("set num_ctx=%d and num_batch=%d for %s: `ollama create NAME -f %s`, or the options in %s",
		a.cell.Ctx, a.cell.Batch, a.rateText(), ModelfileFile, OptionsFile)}
	if s.Missing > 0 && s.Search == nil {
		texts = append(texts, fmt.Sprintf("so far: %d of %d cells are measured", s.Measured, s.Planned))
	}
	if s.Verdict.Gain != nil {
		texts = append(texts, gainText(s.Verdict))
	} else {
		texts = append(texts, "what that gains over the server's own num_batch is not known: `baseline: true` measures it")
	}
	switch c, ok := a.longest(); {
	case ok && c.Cell == a.cell:
		texts = append(texts, fmt.Sprintf("no larger num_ctx is within %.0f %% of that; %s has the fastest num_batch of every num_ctx", 100*nearBest, FrontierFile))
	case ok:
		texts = append(texts, fmt.Sprintf("the largest num_ctx within %.0f %% of that is %d, with num_batch=%d: %.1f tokens/s; %s has the fastest num_batch of every num_ctx",
			100*nearBest, c.Ctx, c.Batch, c.Rate, FrontierFile))
	}
	return append(texts, a.memory.text())
}

// nothingWorks advises where cells failed and none has a rate; it is empty elsewhere.
func (g *grid) nothingWorks(s Stats) string {
	if s.Measured > 0 || s.Failed == 0 {
		return ""
	}
	text := fmt.Sprintf("no cell works so far: try a num_ctx below %d", g.ctx[0])
	if m := g.memoryEnd(); m.ran == (sweep.Cell{}) {
		text = "no cell works so far, and not for want of memory: what the server says of each tells more"
	}
	return text
}

func (a *advice) print(w io.Writer, s Stats) error {
	var b strings.Builder
	texts := a.texts(s)
	paragraph(&b, "", "Advice: "+texts[0])
	for _, text := range texts[1:] {
		note(&b, "%s", text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
