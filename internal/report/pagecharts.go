package report

import (
	"fmt"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/picture"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// heatmapOptions returns the ECharts options of the page's heatmap, without the
// cells. The script adds them for the figure that is selected on the page.
func (g *grid) heatmapOptions() map[string]any {
	chart := charts.NewHeatMap()
	colors := make([]string, 0, 9)
	for i := range cap(colors) {
		c := picture.Heat.Shade(float64(i) / float64(cap(colors)-1))
		colors = append(colors, fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B))
	}
	chart.SetGlobalOptions(
		charts.WithAnimation(false),
		charts.WithXAxisOpts(opts.XAxis{Type: "category", Name: g.view.X.Name, NameLocation: "middle", NameGap: 48, Data: g.view.X.Labels(), AxisLabel: &opts.AxisLabel{Rotate: 45}}),
		charts.WithYAxisOpts(opts.YAxis{Type: "category", Name: g.view.Y.Name, Data: g.view.Y.Labels()}),
		charts.WithVisualMapOpts(opts.VisualMap{
			Type: "continuous", Calculable: opts.Bool(true), Orient: "horizontal", Left: "center", Top: "0",
			InRange: &opts.VisualMapInRange{Color: colors},
		}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "item"}),
		charts.WithGridOpts(opts.Grid{Left: "10", Right: "10", Top: "60", Bottom: "30", ContainLabel: opts.Bool(true)}),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(false)}),
	)
	chart.AddSeries("cells", nil)
	chart.Validate()
	return chart.JSON()
}

// lineOptions returns the ECharts options of the page's line chart: the rate over
// num_batch, a line for each num_ctx that has a rate; or so over the view's axes, for the
// best cell of each place. The most important lines are shown at first.
func (g *grid) lineOptions(s Stats) map[string]any {
	chart := charts.NewLine()
	x, y := g.view.X, g.view.Y
	chart.SetXAxis(y.Labels())
	var rated []string
	lines := make(map[string][]opts.LineData)
	for column, value := range x.Labels() {
		points := make([]opts.LineData, len(y.Values))
		for row := range y.Values {
			points[row].Value = "-" // a missing value for ECharts
			if at, r := g.at(g.bestOf(column, row)); at == measured {
				points[row].Value, lines[value] = *r.PromptEvalRate, points
			}
		}
		if lines[value] != nil {
			rated = append(rated, value)
		}
	}
	shown := g.linesShown(rated, s)
	selected := make(map[string]bool)
	for _, value := range rated {
		name := x.Name + " " + value
		selected[name] = shown[value]
		chart.AddSeries(name, lines[value], charts.WithLineChartOpts(opts.LineChart{SymbolSize: 8, ShowSymbol: opts.Bool(true)}))
	}
	chart.SetGlobalOptions(
		charts.WithAnimation(false),
		charts.WithXAxisOpts(opts.XAxis{Type: "category", Name: y.Name, NameLocation: "middle", NameGap: 30}),
		charts.WithYAxisOpts(opts.YAxis{Type: "value", Name: "tokens/s", Scale: opts.Bool(true)}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "axis"}),
		charts.WithGridOpts(opts.Grid{Left: "10", Right: "20", Top: "60", Bottom: "30", ContainLabel: opts.Bool(true)}),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(true), Type: "scroll", Top: "0", Selected: selected}),
	)
	chart.Validate()
	return chart.JSON()
}

// linesShown returns which of the lines are shown at first: all if there are up to six, otherwise
// the first, the last, and those of the best and the recommended cell.
func (g *grid) linesShown(lines []string, s Stats) map[string]bool {
	shown := make(map[string]bool)
	const few = 6
	for i, line := range lines {
		shown[line] = len(lines) <= few || i == 0 || i == len(lines)-1
	}
	if s.Verdict != nil {
		for _, c := range []cell.Key{s.Verdict.Best.Key, s.Verdict.Recommended.Key} {
			value, _ := c.Value(g.view.X.Name)
			shown[value] = true
		}
	}
	return shown
}

// interval returns the 95 % interval of a cell's rate in tokens per second, nil
// where there are too few samples for one.
func interval(r *checkpoint.Result) []float64 {
	in, ok := verdict.IntervalOf(r.SampleRates())
	if !ok || !in.Bounded {
		return nil
	}
	return []float64{in.Low, in.High}
}
