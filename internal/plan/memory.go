package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// mostRowsOfMemory is the largest number of num_ctx in the table of memory.
const mostRowsOfMemory = 16

// leastRowsOfMemory is that of each of several combinations.
const leastRowsOfMemory = 3

func (p *Plan) printMemory(b *strings.Builder) {
	f := &p.forecast
	if f.source == unknown {
		fmt.Fprintf(b, "Memory: not known: %s\n", p.NoModel)
		return
	}
	ctx, batch := cell.Axes(p.Cells)
	if len(ctx) == 0 {
		return
	}
	first, last := batch[0], batch[len(batch)-1]
	fmt.Fprintf(b, "Memory, from %s", f.sourceText())
	if p.GPUBytes > 0 {
		fmt.Fprintf(b, ", against %s on GPUs", humanize.Bytes(uint64(p.GPUBytes)))
	} else {
		b.WriteString("; that of the GPUs is not known: give it as -gpu-memory 24GB")
	}
	b.WriteString("\n")
	shown, most, lines := p.shownCombinations()
	for _, line := range append(p.memoryNotes(), lines...) {
		fmt.Fprintf(b, "  %s\n", line)
	}
	if len(shown) == 0 {
		return
	}
	fmt.Fprintf(b, "  %8s %10s %10s %24s %24s\n", "num_ctx", "weights", "KV cache", fmt.Sprintf("compute at %d to %d", first, last), "total")
	for _, s := range shown {
		if len(p.memoryAxes()) > 0 {
			fmt.Fprintf(b, "  %s%s\n", s.Text(), p.fitting(s.Settings))
		}
		for _, c := range thinned(ctx, max(leastRowsOfMemory, mostRowsOfMemory/len(shown))) {
			low, high := cell.Key{Ctx: c, Batch: first, Settings: s.Settings}, cell.Key{Ctx: c, Batch: last, Settings: s.Settings}
			fmt.Fprintf(b, "  %8d %10s %10s %24s %24s\n", c, bytes(f.of(low).Weights), bytes(f.of(high).KV),
				bytes(f.of(low).Compute)+" to "+bytes(f.of(high).Compute), bytes(f.size(low))+" to "+bytes(f.size(high)))
		}
	}
	if p.GPUBytes == 0 && p.Checkpoint == nil {
		return
	}
	if len(p.memoryAxes()) > 0 {
		fmt.Fprintf(b, "\n  map of %s, which needs most", most.Text())
		if names := p.otherAxes(); names != "" {
			fmt.Fprintf(b, "; each mark is the worst of all %s", names)
		}
	} else if names := p.otherAxes(); names != "" {
		fmt.Fprintf(b, "\n  map; each mark is the worst of all %s", names)
	}
	p.printMap(b, most.Settings)
}

// sourceText names the source of the figures.
func (f *forecast) sourceText() string {
	switch f.source {
	case fromLog:
		return "the server's log of " + english.Plural(f.cells, "cell", "")
	case fromSizes:
		return fmt.Sprintf("the model's figures of /api/show and %s in /api/ps (%+.0f %%)", english.Plural(f.cells, "size", ""), 100*(f.scale-1))
	}
	return "the model's figures of /api/show"
}

// memoryNotes explain what the figures are based on, and what they do not include.
func (p *Plan) memoryNotes() []string {
	f := &p.forecast
	var notes []string
	if f.source == fromLog {
		notes = append(notes, f.logNote())
	}
	axes := p.memoryAxes()
	if s := p.fixedText(); s != "" && f.model != nil {
		notes = append(notes, "with "+s+" as in the config")
	}
	if f.model == nil {
		if notes = append(notes, p.NoModel); len(axes) > 0 {
			notes = append(notes, "the figures are those of the measured cells, whatever their "+english.WordSeries(axisNames(axes), "and"))
		}
		return notes
	}
	if slices.ContainsFunc(axes, func(a cell.SettingAxis) bool { return a.Name == "num_gpu" }) || f.settingsOf("").gpuLayers >= 0 {
		notes = append(notes, fmt.Sprintf("num_gpu counts %d layers, the output as one: the figures are the part in GPU memory", f.model.Layers+1))
	}
	if f.source == fromLog {
		return notes // the log's figures include the effects below
	}
	if f.model.Window > 0 && len(f.model.Doubts) == 0 {
		notes = append(notes, fmt.Sprintf("some layers keep only a sliding window of %d tokens: on a server that keeps all of them the figures are too low", f.model.Window))
	}
	if once, separate := f.latent(); once > 0 && separate > once {
		notes = append(notes, fmt.Sprintf("the values are a part of the keys (MLA): a server before 0.30 stores both, which takes %.2g times the cache", float64(separate)/float64(once)))
	}
	return append(notes, f.model.Doubts...)
}

// latent returns the size of the cache of a model whose values are a part of its keys: stored
// once, and stored separately. It returns 0 for other models.
func (f *forecast) latent() (once, separate int64) {
	if !f.model.LatentValues || f.settings.Before030 {
		return 0, 0
	}
	older := f.settings
	older.Before030 = true
	const tokens = 4096
	return f.model.Of(tokens, 1, f.settings).KV, f.model.Of(tokens, 1, older).KV
}

// logNote compares the log's figures with the model's estimate, or describes the fitted lines.
func (f *forecast) logNote() string {
	if f.model == nil {
		return fmt.Sprintf("context %s a token, compute buffers %s per num_batch and %s more per 1,000 of num_ctx",
			bytes(int64(f.context.slope)), bytes(int64(f.buffers.base)), bytes(int64(1000*f.buffers.slope)))
	}
	text := fmt.Sprintf("against the model's figures of /api/show: context %+.0f %%, compute buffers %+.0f %%", 100*(f.contextScale-1), 100*(f.bufferScale-1))
	switch {
	case f.flashGiven:
		return text
	case f.settings.FlashOff:
		return text + " (flash attention off)"
	}
	return text + " (flash attention on)"
}

func bytes(n int64) string { return humanize.Bytes(uint64(max(0, n))) }
