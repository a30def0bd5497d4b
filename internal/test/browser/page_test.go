// Package browser tests the page in a browser. It is a module of its own, since the browser's driver
// is nothing that the program needs.
package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

// browser is a page in a headless Chromium.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string // URLs that the page requested
	console  []string // messages on the console
}

// screen is a screen with its colour scheme.
type screen struct {
	width, height int64
	dark          bool
}

var (
	desktop     = screen{1200, 900, false}
	darkDesktop = screen{1200, 900, true}
	phone       = screen{390, 844, false}
)

// openPage opens the checkpoint's page. Without Chromium the test is skipped, except
// on CI, which has to install one.
func openPage(t *testing.T, cp *checkpoint.Checkpoint, s screen) (b *browser, file string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	file = filepath.Join(t.TempDir(), report.PageFile)
	writePage(t, file, cp)
	b = &browser{t: t}
	ctx, end := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)...)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	ctx, end = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(end)
	b.ctx = ctx
	if err := chromedp.Do(ctx); err != nil {
		if os.Getenv("CI") == "" && strings.Contains(err.Error(), "executable file not found") {
			t.Skip("no Chromium on PATH")
		}
		require.NoError(t, err)
	}
	b.listen()
	b.open(s, file)
	return b, file
}

// open opens the file on a screen.
func (b *browser) open(s screen, file string) {
	b.t.Helper()
	scheme := map[bool]string{false: "light", true: "dark"}[s.dark]
	b.do(chromedp.EmulateViewport(s.width, s.height), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
	b.do(chromedp.Navigate((&url.URL{Scheme: "file", Path: file}).String()))
}

func writePage(t *testing.T, file string, cp *checkpoint.Checkpoint) {
	t.Helper()
	var text strings.Builder
	require.NoError(t, report.WritePage(&text, cp))
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o644))
}

// listen collects the page's requests and console messages.
func (b *browser) listen() {
	requests := chromedp.Events(b.ctx, network.RequestWillBeSent)
	go func() {
		for e, err := range requests {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.requests = append(b.requests, e.Request.URL)
			b.mu.Unlock()
		}
	}()
	console := chromedp.Console(b.ctx)
	go func() {
		for m, err := range console {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.console = append(b.console, m.String())
			b.mu.Unlock()
		}
	}()
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, actions...))
}

func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err, expression)
	return value
}

// eventually waits until the expression is true.
func (b *browser) eventually(expression string) {
	b.t.Helper()
	assert.Eventually(b.t, func() bool { return eval[bool](b, expression) }, 20*time.Second, 50*time.Millisecond, expression)
}

// pixel returns the screen coordinates of a cell's centre.
func (b *browser) pixel(x, y int) []float64 {
	b.t.Helper()
	return eval[[]float64](b, fmt.Sprintf(`(() => {
		const box = document.getElementById("heatmap");
		box.scrollIntoView({ block: "center" });
		const edge = box.getBoundingClientRect(), at = echarts.getInstanceByDom(box).convertToPixel({ gridIndex: 0 }, [%d, %d]);
		return [edge.left + at[0], edge.top + at[1]];
	})()`, x, y))
}

// hover points at a cell and returns the text of its tooltip.
func (b *browser) hover(x, y int) string {
	b.t.Helper()
	at := b.pixel(x, y)
	b.do(chromedp.MouseEvent("mouseMoved", at[0]-1, at[1]-1), chromedp.MouseEvent("mouseMoved", at[0], at[1]))
	b.eventually(tooltip + ` !== ""`)
	return eval[string](b, tooltip)
}

// tooltip is an expression for the text of the tooltip.
const tooltip = `[...document.querySelectorAll("#heatmap > div")].slice(1).map(d => d.innerText).join("")`

// quiet asserts that the page made no requests over the network and printed nothing on the
// console.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	assert.Empty(b.t, b.console, "on the console")
	for _, r := range b.requests {
		assert.True(b.t, strings.HasPrefix(r, "file://") && strings.HasSuffix(r, "/"+report.PageFile) || r == "data:,", "requested %.80s", r)
	}
}

func TestPagesInABrowser(t *testing.T) {
	one := checkpoints.Planned([]int{512}, []int{128})
	checkpoints.Add(one, 512, 128, 1000)
	column := checkpoints.Planned([]int{512}, []int{64, 128, 256})
	checkpoints.Add(column, 512, 64, 1000)
	checkpoints.Add(column, 512, 128, 1250)
	allFailed := checkpoints.Planned([]int{512, 1024}, []int{128, 256})
	for _, c := range allFailed.Plan() {
		checkpoints.AddFailed(allFailed, c.Ctx, c.Batch, measurement.OutOfGPUMemory)
	}
	for name, cp := range map[string]*checkpoint.Checkpoint{
		"incomplete": checkpoints.Mixed(), "older tool": olderTool(t), "all details": checkpoints.Decided(), "search": checkpoints.Searched(), "pruned": checkpoints.Pruned(),
		"nothing measured": checkpoints.Planned([]int{512, 1024}, []int{256, 1024}), "all failed": allFailed, "one cell": one, "one column": column,
		"47 by 17": manyCells(47, 17), "100 by 100": manyCells(100, 100), "no cells": checkpoints.Planned(nil, nil), "hostile": checkpoints.Hostile(),
		"settings": checkpoints.Settings(), "many settings": checkpoints.ManySettings(),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, batch := cp.Axes()
			b, file := openPage(t, cp, desktop)
			for _, s := range []screen{desktop, darkDesktop, phone} {
				b.open(s, file)
				assert.Equal(t, len(ctx)*len(batch)*len(cell.Combinations(cp.Sweep.Axes)), eval[int](b, `JSON.parse(document.getElementById("data").textContent).cells.length`))
				assert.LessOrEqual(t, eval[int64](b, `document.documentElement.scrollWidth`), s.width, "no horizontal scrolling")
				if len(ctx) > 0 {
					assert.Positive(t, eval[int](b, `document.querySelector("#heatmap canvas").height`))
				}
				b.quiet()
			}
		})
	}
}

// olderTool is a sweep that an older tool recorded on a real Ollama.
func olderTool(t *testing.T) *checkpoint.Checkpoint {
	t.Helper()
	cp, err := checkpoint.Load(filepath.Join("..", "..", "report", "testdata", "older_tool.json"))
	require.NoError(t, err)
	return cp
}

// manyCells is a sweep of many cells, some of which failed.
func manyCells(columns, rows int) *checkpoint.Checkpoint {
	cp := checkpoints.Planned(checkpoints.Steps(16384, 2048, columns), checkpoints.Steps(128, 128, rows))
	for i, c := range cp.Plan() {
		if i%97 == 13 {
			checkpoints.AddFailed(cp, c.Ctx, c.Batch, measurement.OutOfGPUMemory)
			continue
		}
		rate := float64(1000 + i%50)
		r := checkpoints.Add(cp, c.Ctx, c.Batch, rate, rate+1, rate+2, rate-1, rate-2, rate)
		r.Size, r.SizeVRAM = 18_000_000_000, 18_000_000_000
	}
	return cp
}

func TestPageHoverAndKeys(t *testing.T) {
	b, _ := openPage(t, checkpoints.Mixed(), desktop)
	want := func(x, y int) string {
		return eval[string](b, fmt.Sprintf(`JSON.parse(document.getElementById("data").textContent).cells.find(c => c.x === %d && c.y === %d).text.join("\n")`, x, y))
	}
	for _, at := range [][2]int{{1, 3}, {2, 1}, {3, 3}, {0, 0}} {
		assert.Equal(t, want(at[0], at[1]), b.hover(at[0], at[1]))
	}

	// Select by click, then by keys.
	at := b.pixel(1, 3)
	b.do(chromedp.MouseClickXY(at[0], at[1]))
	b.eventually(`document.getElementById("cell").textContent.startsWith("num_ctx=1024, num_batch=896")`)
	b.do(chromedp.Focus(chromedp.CSS("#heatmap")), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowDown))
	assert.Equal(t, want(2, 2), eval[string](b, `document.getElementById("cell").textContent`))
	b.do(chromedp.KeyEvent(kb.Home), chromedp.KeyEvent(kb.ArrowLeft)) // the second key has no effect at the edge
	assert.Equal(t, want(0, 2), eval[string](b, `document.getElementById("cell").textContent`))
	b.quiet()
}

// TestPageSwitch checks that the heatmap and the lines show the best of the other axes, or the selected values, also
// after a reload.
func TestPageSwitch(t *testing.T) {
	b, file := openPage(t, checkpoints.Settings(), desktop)
	first := func() string { return strings.SplitN(b.hover(0, 0), "\n", 2)[0] }
	lines := `JSON.stringify(echarts.getInstanceByDom(document.getElementById("lines")).getOption().series[0].data.map(d => d.value === undefined ? d : d.value))`
	assert.Contains(t, first(), "num_ctx=2048, num_batch=256, num_gpu=auto, flash_attention=on")
	assert.Equal(t, "[1600,1600]", eval[string](b, lines))
	choose := func(axis, value int) {
		eval[bool](b, fmt.Sprintf(`(() => { const box = document.querySelectorAll("select.rest")[%d]; box.value = "%d"; return box.dispatchEvent(new Event("change")); })()`, axis, value))
	}
	choose(1, 1)
	assert.Contains(t, first(), "num_ctx=2048, num_batch=256, num_gpu=auto, flash_attention=off")
	choose(0, 1)
	assert.Contains(t, first(), "num_ctx=2048, num_batch=256, num_gpu=20, flash_attention=off")
	assert.Contains(t, eval[string](b, lines), "[1137.")
	at := b.pixel(1, 1)
	b.do(chromedp.MouseClickXY(at[0], at[1]))
	b.eventually(`document.getElementById("cell").textContent.startsWith("num_ctx=8192, num_batch=512, num_gpu=20, flash_attention=off")`)
	fragment := eval[string](b, "location.hash")
	assert.Equal(t, "#of-flash_attention=off&of-num_gpu=20&cell=8192%2C512", fragment)
	b.open(desktop, file)
	eval[string](b, fmt.Sprintf("location.hash = %q", fragment))
	b.do(chromedp.Reload())
	b.eventually(`document.getElementById("cell").textContent.startsWith("num_ctx=8192, num_batch=512, num_gpu=20, flash_attention=off")`)
	b.quiet()
}

// TestPageOnAPhone checks that the details of a tapped cell are at the bottom of the screen,
// cover neither the cell nor more than a part of the screen, and can be closed.
func TestPageOnAPhone(t *testing.T) {
	cp := manyCells(12, 10)
	class := measurement.OutOfGPUMemory
	*cp.Result(cell.Key{Ctx: 18432, Batch: 128}) = checkpoint.Result{NumCtx: 18432, NumBatch: 128, Error: &class, Detail: strings.Repeat("the server's own words ", 60)}
	b, file := openPage(t, cp, phone)
	panel := func(property string) float64 {
		return eval[float64](b, `document.getElementById("panel").getBoundingClientRect().`+property)
	}
	for _, at := range [][2]int{{6, 6}, {1, 0}} {
		middle := b.pixel(at[0], at[1])
		if at[1] == 0 { // scroll so that the cell is at the lower edge of the screen
			eval[bool](b, fmt.Sprintf(`scrollBy(0, %f) === undefined`, middle[1]-830))
			middle[1] = 830
		}
		b.do(chromedp.MouseClickXY(middle[0], middle[1]))
		b.eventually(fmt.Sprintf(`document.getElementById("cell").textContent.startsWith("num_ctx=%d, num_batch=%d")`, 16384+2048*at[0], 128+128*at[1]))
		assert.Empty(t, eval[string](b, tooltip), "no tooltip over the heatmap")
		assert.LessOrEqual(t, panel("height"), 0.36*844)
		assert.LessOrEqual(t, panel("bottom"), 844.5)
		assert.Greater(t, panel("top"), eval[float64](b, fmt.Sprintf(`(() => {
			const box = document.getElementById("heatmap");
			return box.getBoundingClientRect().top + echarts.getInstanceByDom(box).convertToPixel({ gridIndex: 0 }, [%d, %d])[1];
		})()`, at[0], at[1])), "the cell must be visible")
		b.do(chromedp.Click(chromedp.CSS("#close")))
		assert.Contains(t, eval[string](b, `document.getElementById("cell").textContent`), "No cell is selected")
		assert.NotContains(t, eval[string](b, `location.hash`), "cell")
	}
	b.quiet()

	b.open(desktop, file) // large enough for a tooltip
	assert.NotEmpty(t, b.hover(2, 1))
	assert.Equal(t, "none", eval[string](b, `getComputedStyle(document.getElementById("close")).display`))
}

func TestPageMetric(t *testing.T) {
	b, _ := openPage(t, checkpoints.Mixed(), desktop)
	labels := `(() => echarts.getInstanceByDom(document.getElementById("heatmap")).getOption().series[0].data.map(d => d.label ? d.label.formatter : ""))()`
	assert.Contains(t, eval[[]string](b, labels), "★◎! 2000.0")
	b.do(chromedp.SetValue(chromedp.CSS("#metric"), "2"))
	eval[bool](b, `document.getElementById("metric").dispatchEvent(new Event("change"))`)
	got := eval[[]string](b, labels)
	assert.Contains(t, got, "★◎! 91.23", "the load took 91.23 s")
	assert.Contains(t, got, "≈", "a cell without a load time")
	// A reload keeps the selected metric.
	b.do(chromedp.Reload())
	assert.Equal(t, "2", eval[string](b, `document.getElementById("metric").value`))
	assert.Contains(t, eval[[]string](b, labels), "★◎! 91.23")
	b.quiet()
}

func TestPageTable(t *testing.T) {
	cp := checkpoints.Mixed()
	b, _ := openPage(t, cp, desktop)
	rates := `[...document.querySelectorAll("#frontier tbody tr")].map(tr => tr.cells[2].textContent)`
	b.do(chromedp.Click(chromedp.CSS("#frontier th:nth-child(3) button")))
	assert.Equal(t, []string{"1000.00", "1250.00", "1250.00", "2000.00"}, eval[[]string](b, rates))
	b.do(chromedp.Click(chromedp.CSS("#frontier th:nth-child(3) button")))
	assert.Equal(t, []string{"2000.00", "1250.00", "1250.00", "1000.00"}, eval[[]string](b, rates))
	assert.Equal(t, "descending", eval[string](b, `document.querySelector("#frontier th:nth-child(3)").getAttribute("aria-sort")`))
	b.do(chromedp.Click(chromedp.CSS("#frontier th:nth-child(1) button")))

	// The copied text equals the file.
	eval[bool](b, `document.addEventListener("copy", () => { window.copiedText = getSelection().toString() || document.activeElement.value; }) === undefined`)
	eval[bool](b, `Object.defineProperty(navigator, "clipboard", { value: { writeText: async text => { window.copiedText = text; } } }) === navigator`)
	b.do(chromedp.Click(chromedp.CSS("#copy")))
	b.eventually(`document.getElementById("copied").textContent === "copied"`)
	var csv strings.Builder
	require.NoError(t, report.WriteFrontier(&csv, cp))
	assert.Equal(t, csv.String(), eval[string](b, `window.copiedText`))
	b.quiet()
}

// TestPageReloads checks that the page of a running sweep reloads itself, and that the page
// of a complete or stopped sweep does not.
func TestPageReloads(t *testing.T) {
	cp := checkpoints.Planned([]int{512, 1024}, []int{128, 256})
	checkpoints.Add(cp, 512, 128, 1000).Timestamp = time.Now()
	b, file := openPage(t, cp, desktop)
	b.do(chromedp.Focus(chromedp.CSS("#heatmap")), chromedp.KeyEvent(kb.ArrowRight))
	assert.True(t, eval[bool](b, `!document.getElementById("live").hidden`))
	assert.Contains(t, eval[string](b, `document.getElementById("counts").innerText`), "1 measured")
	for _, c := range cp.Plan()[1:] {
		checkpoints.Add(cp, c.Ctx, c.Batch, 1250).Timestamp = time.Now()
	}
	writePage(t, file, cp)
	b.eventually(`document.getElementById("counts") !== null && document.getElementById("counts").innerText.includes("4 measured")`)
	b.eventually(`document.getElementById("cell").textContent.startsWith("num_ctx=512, num_batch=128")`) // selected before
	assert.True(t, eval[bool](b, `document.getElementById("live").hidden`))
	b.quiet()

	stopped := checkpoints.Planned([]int{512, 1024}, []int{128, 256})
	checkpoints.Add(stopped, 512, 128, 1000).Timestamp = time.Now().Add(-2 * time.Hour)
	b, _ = openPage(t, stopped, desktop)
	assert.True(t, eval[bool](b, `document.getElementById("live").hidden`), "no new sample for two hours")
}
