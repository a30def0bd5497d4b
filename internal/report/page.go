package report

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/picture"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// The parts of the page. ECharts is version 5.6.0 of the npm package "echarts";
// its license and notice are in the same folder.
var (
	//go:embed page/page.tmpl
	pageHTML string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string
	//go:embed page/echarts.min.js
	echartsScript string

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"code": code}).Parse(pageHTML))
)

// code returns text as HTML, with text between backquotes as code. Backquotes within the
// single quotes of a command don't end the code.
func code(text string) template.HTML {
	var html strings.Builder
	for {
		before, rest, found := strings.Cut(text, "`")
		html.WriteString(template.HTMLEscapeString(before))
		if !found {
			return template.HTML(html.String())
		}
		end := endOfCode(rest)
		html.WriteString("<code>" + template.HTMLEscapeString(rest[:end]) + "</code>")
		text = strings.TrimPrefix(rest[end:], "`")
	}
}

// endOfCode returns the index of the backquote that ends the code, or len(text).
func endOfCode(text string) int {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && !quoted:
			i++
		case text[i] == '\'':
			quoted = !quoted
		case text[i] == '`' && !quoted:
			return i
		}
	}
	return len(text)
}

// page is the data of the template.
type page struct {
	Style           template.CSS
	ECharts, Script template.JS
	Data            template.JS
	Heatmap, Lines  template.JS // ECharts' options

	X, Y       string             // names of the axes
	Rest       []cell.SettingAxis // the other axes
	Title      string
	Counts     string
	Empty      bool   // the grid has no cells
	NothingYet string // the advice where no cell works, otherwise empty
	Verdict    []string
	Metrics    []pageMetric
	Legend     []pageMark
	Advice     []string
	Modelfile  string
	Warnings   []string
	Frontier   [][]string // with its header
	// FrontierTitle names the table of Frontier.
	FrontierTitle string
	Environment   []namedValue
}

type namedValue struct{ Name, Value string }

// pageData is the input of the page's script.
type pageData struct {
	Ctx   []int `json:"ctx"`
	Batch []int `json:"batch"`
	// View replaces Ctx and Batch where the page shows other axes, or there are more of them.
	View    *pageView    `json:"view,omitempty"`
	Metrics []pageMetric `json:"metrics"`
	// Cells are in order of the columns, then the rows, then the values of the other axes.
	Cells []pageCell `json:"cells"`
	// Grows says that the sweep is not complete, and Newest is the time of the newest
	// sample, in milliseconds since 1970. The page of a running sweep reloads itself.
	Grows  bool  `json:"grows"`
	Newest int64 `json:"newest"`
}

// pageView holds the axes of the page.
type pageView struct {
	X    cell.SettingAxis   `json:"x"`
	Y    cell.SettingAxis   `json:"y"`
	Rest []cell.SettingAxis `json:"rest"`
}

// pageCell is a combination of the axes on the page.
type pageCell struct {
	X        int        `json:"x"` // index of num_ctx, or of the view's X
	Y        int        `json:"y"` // index of num_batch, or of the view's Y
	State    string     `json:"state"`
	Marks    string     `json:"marks,omitempty"`
	Values   []*float64 `json:"values,omitempty"` // of the metrics
	Interval []float64  `json:"interval,omitempty"`
	Text     []string   `json:"text"`
}

var stateNames = map[state]string{notPlanned: "none", leftOut: "none", missing: "missing", pruned: "pruned", failed: "failed", measured: "measured"}

// WritePage writes the report as one self-contained HTML file: advice, heatmap, line
// chart, table and environment.
func WritePage(w io.Writer, cp *checkpoint.Checkpoint) error { return newGrid(cp).writePage(w) }

func (g *grid) writePage(w io.Writer) error {
	if g.tooLarge() {
		return fmt.Errorf("making the page: %s %w", g.sizeText(), picture.ErrTooLarge)
	}
	s := g.stats()
	verdicts := g.verdicts()
	p := page{
		Style: template.CSS(pageStyle), ECharts: template.JS(echartsScript), Script: template.JS(pageScript),
		X: g.view.X.Name, Y: g.view.Y.Name, Rest: g.view.Rest,
		Title:       cmp.Or(OneLine(g.cp.Sweep.Model), "model not named"),
		Counts:      fmt.Sprintf("%d cells planned, %d measured, %s, %s", s.Planned, s.Measured, s.failedText(), s.rest()),
		NothingYet:  g.nothingWorks(s),
		Empty:       len(g.ctx) == 0,
		Metrics:     pageMetrics,
		Legend:      g.pageLegend(verdicts),
		Environment: g.environment(),
	}
	p.Frontier, p.FrontierTitle = g.frontierRows(nil), "Best num_batch of each num_ctx"
	if len(g.cp.Sweep.Axes) > 0 {
		p.FrontierTitle = "Fastest cell of each num_ctx"
	}
	if err := p.advise(g, s); err != nil {
		return err
	}
	for _, w := range warnings(g.cp) {
		text := w.text
		if len(w.cells) > 0 {
			text += " (" + cell.Names(w.cells) + ")"
		}
		p.Warnings = append(p.Warnings, text)
	}
	for _, part := range []struct {
		into  *template.JS
		value any
	}{{&p.Data, g.pageData(s, verdicts)}, {&p.Heatmap, g.heatmapOptions()}, {&p.Lines, g.lineOptions(s)}} {
		text, err := json.Marshal(part.value) // also escapes <, > and & for HTML
		if err != nil {
			return fmt.Errorf("encoding the page's data: %w", err)
		}
		*part.into = template.JS(text)
	}
	if err := pageTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("writing page: %w", err)
	}
	return nil
}

// advise sets the fields of verdict and advice, if a cell has a rate.
func (p *page) advise(g *grid, s Stats) error {
	a := g.advice()
	if a == nil {
		return nil
	}
	p.Frontier = g.frontierRows(a.frontier)
	p.Verdict = slices.Concat([]string{"best: " + s.bestText()}, s.verdictTexts(), s.confirmedTexts())
	if text := s.disturbed.text(); text != "" {
		p.Verdict = append(p.Verdict, "disturbed: "+text)
	}
	if text := s.driftText(); text != "" {
		p.Verdict = append(p.Verdict, "drift: "+text)
	}
	for _, text := range s.hostTexts() {
		p.Verdict = append(p.Verdict, "hosts: "+text)
	}
	for _, e := range a.effects {
		p.Advice = append(p.Advice, effectText(e))
	}
	p.Advice = append(p.Advice, a.texts("")...)
	if text := a.memory.text(); text != "" {
		p.Advice = append(p.Advice, text)
	}
	if off := g.cp.OffGrid(); len(off) > 0 {
		p.Verdict = append(p.Verdict, fmt.Sprintf("off the grid, kept in the checkpoint and not counted: %s", cell.Names(off)))
	}
	if a.Kind == sweep.NoAdvice {
		return nil
	}
	var modelfile strings.Builder
	if err := a.writeModelfile(&modelfile); err != nil && !errors.Is(err, errNothing) {
		return err
	}
	p.Modelfile = modelfile.String()
	return nil
}

// environment lists the known properties of the model, the server, the hardware and the
// sweep.
func (g *grid) environment() []namedValue {
	h := g.cp.Sweep
	var values []namedValue
	add := func(name, value string) {
		if value = OneLine(value); value != "" {
			values = append(values, namedValue{name, value})
		}
	}
	add("Model", h.Model)
	add("Digest", h.Digest)
	add("Weights", h.WeightsText())
	add("Quantization", h.Quantization)
	add("Ollama", h.OllamaVersion)
	add("GPU", strings.Join(h.GPUs(), ", "))
	add("Driver", h.Driver)
	if len(h.GPUs()) == 0 {
		add("Device", strings.Join(h.Devices, ", "))
	}
	add("Server's settings", h.SettingsText())
	add("Runner", h.Runner)
	add("Strategy", h.Strategy)
	add("Not probed because", h.Unprobeable)
	add("Shard", h.Shard.String())
	if n := len(h.Merged); n > 0 {
		add("Merged", english.Plural(n, "checkpoint", ""))
	}
	if len(g.ctx) > 0 {
		add("num_ctx", span(g.ctx))
		add("num_batch", span(g.batch))
	}
	for _, a := range h.Axes {
		add(a.Name, list(a.Labels()))
	}
	add("Fixed settings", h.FixedText())
	if h.NumPredict > 0 {
		add("num_predict", strconv.Itoa(h.NumPredict))
	}
	add("Prompt", strings.TrimSpace(h.Prompt+" "+h.PromptSHA256))
	if !h.Started.IsZero() {
		add("Started", h.Started.Format(time.DateTime))
	}
	if newest := newest(g.cp); !newest.IsZero() {
		add("Newest sample", newest.Format(time.DateTime))
	}
	return values
}

// newest returns the time of the newest measurement, zero where it is unknown.
func newest(cp *checkpoint.Checkpoint) time.Time {
	var last time.Time
	for i := range cp.Results {
		if at := cp.Results[i].Timestamp; at.After(last) {
			last = at
		}
	}
	for i := range cp.Auxiliary {
		if at := cp.Auxiliary[i].Timestamp; at.After(last) {
			last = at
		}
	}
	return last
}

// pageLegend explains the signs that occur on the page.
func (g *grid) pageLegend(verdicts map[cell.Key]string) []pageMark {
	var legend []pageMark
	for c := range g.cells() {
		for _, m := range g.marks(c, verdicts[c]) {
			if !slices.Contains(legend, m) {
				legend = append(legend, m)
			}
		}
	}
	slices.SortFunc(legend, func(a, b pageMark) int {
		return cmp.Compare(slices.Index(markOrder, a.Sign), slices.Index(markOrder, b.Sign))
	})
	if reason := g.blankReason(); reason != "" {
		legend = append(legend, pageMark{"blank", reason})
	}
	return legend
}

// pageData returns the input of the page's script.
func (g *grid) pageData(s Stats, verdicts map[cell.Key]string) pageData {
	data := pageData{Ctx: append([]int{}, g.ctx...), Batch: append([]int{}, g.batch...), Metrics: pageMetrics, Cells: []pageCell{}, Grows: s.Missing > 0}
	if s.Search != nil {
		data.Grows = !s.Search.Done
	}
	if at := newest(g.cp); !at.IsZero() {
		data.Newest = at.UnixMilli()
	}
	v := g.view
	if v.X.Name != cell.NumCtx || v.Y.Name != cell.NumBatch || len(v.Rest) > 0 {
		data.View = &pageView{v.X, v.Y, append([]cell.SettingAxis{}, v.Rest...)}
	}
	for x := range v.X.Values {
		for y := range v.Y.Values {
			for _, t := range v.Tables {
				c := v.Key(t, x, y)
				data.Cells = append(data.Cells, g.pageCell(c, x, y, verdicts[c]))
			}
		}
	}
	return data
}
