package report

import (
	"fmt"
	"strconv"

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
		charts.WithXAxisOpts(opts.XAxis{Type: "category", Name: "num_ctx", NameLocation: "middle", NameGap: 48, Data: labels(g.ctx), AxisLabel: &opts.AxisLabel{Rotate: 45}}),
		charts.WithYAxisOpts(opts.YAxis{Type: "category", Name: "num_batch", Data: labels(g.batch)}),
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
// num_batch, a line for each num_ctx that has a rate. The most important ones are
// shown at first.
func (g *grid) lineOptions(s Stats) map[string]any {
	chart := charts.NewLine()
	chart.SetXAxis(labels(g.batch))
	shown := g.linesShown(s)
	selected := make(map[string]bool)
	for _, ctx := range g.ctx {
		var any bool
		points := make([]opts.LineData, len(g.batch))
		for i, batch := range g.batch {
			points[i].Value = "-" // a missing value for ECharts
			if at, r := g.at(cell.Key{Ctx: ctx, Batch: batch}); at == measured {
				points[i].Value, any = *r.PromptEvalRate, true
			}
		}
		if !any {
			continue
		}
		name := "num_ctx " + strconv.Itoa(ctx)
		selected[name] = shown[ctx]
		chart.AddSeries(name, points, charts.WithLineChartOpts(opts.LineChart{SymbolSize: 8, ShowSymbol: opts.Bool(true)}))
	}
	chart.SetGlobalOptions(
		charts.WithAnimation(false),
		charts.WithXAxisOpts(opts.XAxis{Type: "category", Name: "num_batch", NameLocation: "middle", NameGap: 30}),
		charts.WithYAxisOpts(opts.YAxis{Type: "value", Name: "tokens/s", Scale: opts.Bool(true)}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "axis"}),
		charts.WithGridOpts(opts.Grid{Left: "10", Right: "20", Top: "60", Bottom: "30", ContainLabel: opts.Bool(true)}),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(true), Type: "scroll", Top: "0", Selected: selected}),
	)
	chart.Validate()
	return chart.JSON()
}

// linesShown returns the num_ctx whose lines are shown at first: all if there are up to
// six, otherwise the smallest, the largest, and those of the best and the recommended cell.
func (g *grid) linesShown(s Stats) map[int]bool {
	shown := make(map[int]bool)
	var rated []int
	for _, ctx := range g.ctx {
		for _, batch := range g.batch {
			if at, _ := g.at(cell.Key{Ctx: ctx, Batch: batch}); at == measured {
				rated = append(rated, ctx)
				break
			}
		}
	}
	const few = 6
	for i, ctx := range rated {
		shown[ctx] = len(rated) <= few || i == 0 || i == len(rated)-1
	}
	if s.Verdict != nil {
		shown[s.Verdict.Best.Ctx], shown[s.Verdict.Recommended.Ctx] = true, true
	}
	return shown
}

func labels(values []int) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = strconv.Itoa(v)
	}
	return texts
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
