package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
)

// memorySettings are the names of the settings besides num_ctx and num_batch that change the memory of a load.
var memorySettings = []string{"num_gpu", cell.Ollama, "flash_attention", "kv_cache_type", "num_parallel"}

// loadSettings are the settings that a load's memory depends on.
type loadSettings struct {
	memory.Settings
	gpuLayers int // num_gpu, below 0 where it is left to the server

	flashOn    bool // it is set on, and not left to the server
	cacheGiven bool // the config sets CacheType
}

// settingsOf returns the settings of a load with these of a cell. They override those that have one value in
// the sweep, and these what is known of the server.
func (f *forecast) settingsOf(s cell.Settings) loadSettings {
	l := loadSettings{Settings: f.settings, gpuLayers: -1}
	for name, value := range f.fixed {
		l.set(name, value)
	}
	for name, value := range s.All() {
		l.set(name, value)
	}
	if l.Before030 && l.cacheGiven && !l.flashOn {
		l.CacheType = "" // such a server ignores the type without flash attention, which is off by default
	}
	return l
}

func (l *loadSettings) set(name, value string) {
	if value == cell.Auto {
		return
	}
	number, _ := strconv.Atoi(value)
	switch name {
	case "num_gpu":
		l.gpuLayers = number
	case "num_parallel":
		l.Parallel = number
	case "flash_attention":
		l.flashOn, l.FlashOff = value == "on", value == "off"
	case "kv_cache_type":
		l.CacheType, l.cacheGiven = memory.CacheType(value), true
	case cell.Ollama:
		l.Before030 = check.Before(value, "0.30.0")
	}
}

// onGPUs returns the part of a need that is in GPU memory where so many layers are: servers count the output
// as one layer more than the model has.
func (l loadSettings) onGPUs(need memory.Need, layers int) memory.Need {
	switch {
	case l.gpuLayers < 0 || l.gpuLayers > layers:
		return need
	case l.gpuLayers == 0:
		return memory.Need{}
	}
	share := float64(l.gpuLayers) / float64(layers+1)
	need.Weights, need.KV = int64(share*float64(need.Weights)), int64(share*float64(need.KV))
	return need
}

// fixedText returns the settings that change the memory and have one value in the sweep.
func (p *Plan) fixedText() string {
	var values []cell.Value
	for _, name := range memorySettings {
		if value := p.forecast.fixed[name]; value != "" {
			values = append(values, cell.Value{Name: name, Value: value})
		}
	}
	return cell.NewSettings(values...).Text()
}

// combination is the settings of cells that change their memory.
type combination struct {
	cell.Settings
	refused error // why a server can't load a model with them, nil where it can
}

// memoryAxes returns the axes that change the memory.
func (p *Plan) memoryAxes() []cell.SettingAxis {
	return slices.DeleteFunc(slices.Clone(p.axes), func(a cell.SettingAxis) bool {
		return !slices.Contains(memorySettings, a.Name) || a.Name == cell.Ollama && alike(a)
	})
}

// alike reports whether all versions of the server take the same memory.
func alike(binaries cell.SettingAxis) bool {
	return !slices.ContainsFunc(binaries.Values, func(v string) bool {
		return check.Before(v, "0.30.0") != check.Before(binaries.Values[0], "0.30.0")
	})
}

// combinations returns the combinations of settings that change the memory, in the order of the cells: one
// that is empty where no axis does.
func (p *Plan) combinations() (all []combination) {
	axes := p.memoryAxes()
	seen := make(map[cell.Settings]bool)
	for _, s := range cell.AllSettings(p.Cells) {
		if s = part(s, axes); seen[s] {
			continue
		}
		seen[s] = true
		c := combination{Settings: s}
		if l := p.forecast.settingsOf(s); !l.Before030 {
			c.refused = l.Check()
		}
		all = append(all, c)
	}
	return all
}

// part returns the settings of the axes alone.
func part(s cell.Settings, axes []cell.SettingAxis) cell.Settings {
	var values []cell.Value
	for name, value := range s.All() {
		if slices.ContainsFunc(axes, func(a cell.SettingAxis) bool { return a.Name == name }) {
			values = append(values, cell.Value{Name: name, Value: value})
		}
	}
	return cell.NewSettings(values...)
}

// mostCombinations is the largest number of combinations of which each has its figures.
const mostCombinations = 6

// shownCombinations returns the combinations that have their figures: all, or of many those that need least
// and most. Most is the one that needs most. Lines describe what is left out.
func (p *Plan) shownCombinations() (shown []combination, most combination, lines []string) {
	none := false
	for _, c := range p.combinations() {
		switch {
		case c.refused != nil:
			lines = append(lines, fmt.Sprintf("%s: servers refuse it: %v", c.Text(), c.refused))
		case p.forecast.model != nil && p.forecast.settingsOf(c.Settings).gpuLayers == 0:
			none = true
		default:
			shown = append(shown, c)
		}
	}
	if none {
		lines = append(lines, "with num_gpu=0 nothing is in GPU memory")
	}
	if len(shown) == 0 {
		return nil, most, lines
	}
	ctx, batch := cell.Axes(p.Cells)
	size := func(c combination) int64 {
		return p.forecast.size(cell.Key{Ctx: ctx[len(ctx)-1], Batch: batch[len(batch)-1], Settings: c.Settings})
	}
	compare := func(a, b combination) int { return int(min(1, max(-1, size(a)-size(b)))) }
	most = slices.MaxFunc(shown, compare)
	if len(shown) > mostCombinations {
		lines = append(lines, fmt.Sprintf("of %d combinations of %s, the one that needs least and the one that needs most:", len(shown), english.WordSeries(axisNames(p.memoryAxes()), "and")))
		shown = []combination{slices.MinFunc(shown, compare), most}
	}
	return shown, most, lines
}

func axisNames(axes []cell.SettingAxis) (names []string) {
	for _, a := range axes {
		names = append(names, a.Name)
	}
	return names
}

// fitting describes how many cells of a combination fit the GPUs' memory by the estimate, empty where that
// is not known.
func (p *Plan) fitting(s cell.Settings) string {
	if p.GPUBytes == 0 {
		return ""
	}
	pairs := make(map[cell.Key]bool)
	marks := make(map[byte]int)
	for _, c := range p.Cells {
		pair := cell.Key{Ctx: c.Ctx, Batch: c.Batch, Settings: s}
		if !pairs[pair] {
			pairs[pair] = true
			marks[p.estimatedMark(pair)]++
		}
	}
	text := fmt.Sprintf(": %d of %d pairs of num_ctx and num_batch fit", marks['.'], len(pairs))
	if near := marks['?']; near > 0 {
		text += fmt.Sprintf(", %d more %s near the limit", near, english.PluralWord(near, "is", "are"))
	}
	return text
}

// cellsByPair returns the cells with the settings of a combination, by num_ctx and num_batch.
func (p *Plan) cellsByPair(s cell.Settings) map[cell.Key][]cell.Key {
	axes, parts := p.memoryAxes(), make(map[cell.Settings]cell.Settings)
	of := make(map[cell.Key][]cell.Key)
	for _, c := range p.Cells {
		own, ok := parts[c.Settings]
		if !ok {
			own = part(c.Settings, axes)
			parts[c.Settings] = own
		}
		if own == s {
			pair := cell.Key{Ctx: c.Ctx, Batch: c.Batch}
			of[pair] = append(of[pair], c)
		}
	}
	return of
}

// otherAxes returns the names of the axes besides num_ctx and num_batch that do not change the memory.
func (p *Plan) otherAxes() string {
	changing := axisNames(p.memoryAxes())
	names := slices.DeleteFunc(axisNames(p.axes), func(name string) bool { return slices.Contains(changing, name) })
	return english.WordSeries(names, "and")
}

// worst returns the worst mark of cells with the same num_ctx and num_batch.
func (p *Plan) worst(cells []cell.Key) byte {
	const order = "+.?!x"
	worst := -1
	for _, c := range cells {
		worst = max(worst, strings.IndexByte(order, p.mark(c)))
	}
	return order[worst]
}
