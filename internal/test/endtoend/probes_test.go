package endtoend

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/randommodel"
	"github.com/ollama-sweep/ollama-sweep/internal/setup"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// words returns n of a few words, from place first on.
func words(first, n int) string {
	list := strings.Fields("the old mill by the river had stood empty for many years when a young man came down the road")
	text := make([]string, n)
	for i := range text {
		text[i] = list[(first+i)%len(list)]
	}
	return strings.Join(text, " ")
}

// loggedEngine starts an engine whose log is read.
func loggedEngine(t testing.TB, home string) *ollamarun.Engine {
	engine := sweeptest.StartEngine(t, home)
	log, err := ollamarun.OpenServerLog(filepath.Join(home, ollamarun.EngineLog))
	require.NoError(t, err)
	engine.Server.ServerLog = log
	return engine
}

// loadAndProbe loads the model and probes it, and returns the number of loads until then. Like a sweep it loads the
// model again where another program may have lengthened passes, which are short here.
func loadAndProbe(t *testing.T, runner setup.Ollama, engine *ollamarun.Engine) (probes []measurement.Probe, loads int) {
	t.Helper()
	for tries := 1; ; tries++ {
		_, err := runner.Load(t.Context(), 2048, 512, func() string { return words(0, 3) })
		require.NoError(t, err)
		loads = loadsIn(t, engine)
		probes, err = runner.Probe(t.Context(), 1024, []int{16, 100, 512}, 2, words)
		var disturbed *measurement.Unprobeable
		if !errors.As(err, &disturbed) || !disturbed.Temporary || tries == 5 {
			require.NoError(t, err)
			return probes, loads
		}
		require.NoError(t, runner.Unload(t.Context()))
	}
}

// TestProbe: a real Ollama evaluates passes of exactly the sizes that were requested, for both
// runners.
func TestProbe(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	engine := loggedEngine(t, t.TempDir())
	byAPI, err := ollamarun.NewAPI(t.Context(), &engine.Server, ollamarun.TinyModel, nil, 2)
	require.NoError(t, err)
	byCLI, err := ollamarun.NewCLI(t.Context(), &engine.Server, sweeptest.Ollama(t), ollamarun.FromModel(ollamarun.TinyModel), 2, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, byCLI.Close(context.Background())) })
	for _, runner := range []setup.Ollama{byAPI, byCLI} {
		probes, loads := loadAndProbe(t, runner, engine)
		taken := make(map[int]int)
		for _, p := range probes {
			taken[p.NumBatch]++
			assert.Equal(t, p.NumBatch, p.Tokens)
			assert.Equal(t, (1024-p.NumBatch)/2, p.Depth)
			assert.Positive(t, p.Duration)
			assert.Equal(t, !sweeptest.Before(t, "0.30.0"), p.Verified)
		}
		assert.Equal(t, map[int]int{16: 2, 100: 2, 512: 2}, taken)
		_, err = runner.Sample(t.Context(), func() string { return words(5, 9) })
		require.NoError(t, err)
		assert.Equal(t, loads, loadsIn(t, engine), "probes don't load the model anew")
		require.NoError(t, runner.Unload(t.Context()))
	}
	_, err = byCLI.Load(t.Context(), 2048, 512, func() string { return words(0, 3) })
	require.NoError(t, err)
	var unprobeable *measurement.Unprobeable
	_, err = byCLI.Probe(t.Context(), 4096, []int{16}, 2, words)
	require.ErrorAs(t, err, &unprobeable)
	assert.True(t, unprobeable.Temporary, "another num_ctx has room for it")
	_, err = byCLI.Probe(t.Context(), 1024, []int{513}, 2, words)
	require.Error(t, err, "more than num_batch")
}

// loadsIn returns the number of lines of the engine's log with which a load ends.
func loadsIn(t *testing.T, engine *ollamarun.Engine) int {
	text, err := engine.Server.ServerLog.Since()
	require.NoError(t, err)
	return len(regexp.MustCompile(`(?:llama runner|llama-server) started in \d`).FindAll(text, -1))
}

// probeTurns is the number of turns of BenchmarkProbes. The interval of a median needs six.
var probeTurns = flag.Int("probe-turns", 12, "`turns` of BenchmarkProbes")

// probeMedium is a model of 7 million weights, sixteen times those of the tiny one.
var probeMedium = randommodel.Shape{Layers: 6, Width: 320, Inner: 960, Heads: 5, KVHeads: 5, Vocab: 1000, Trained: 131_072}

// BenchmarkProbes compares the rates of probes with those of direct measurements. Two servers work in
// turns, so that what disturbs one of them disturbs both: one has a load with the largest num_batch,
// which is probed, the other has each num_batch loaded and reads whole prompts. A ratio is probed /
// direct, the median of the turns with the bounds of its 95 % interval.
//
//	middle  one pass in the middle of the prompt, less what a request costs besides
//	raw     the same with it
//	depths  passes around a quarter and three quarters of the prompt, less it
//	pieces  a whole prompt, one pass after the other
//	loads   a pass in the probed load, compared with one in a load of that num_batch
func BenchmarkProbes(b *testing.B) {
	var servers [2]*ollamarun.Server
	for i := range servers {
		home := b.TempDir()
		servers[i] = &loggedEngine(b, home).Server
		folders, err := filepath.Glob(filepath.Join(home, "*", "models"))
		require.NoError(b, err)
		require.Len(b, folders, 1)
		require.NoError(b, randommodel.Install(folders[0], "medium", probeMedium, randommodel.F16, map[string]any{"num_thread": 1}))
	}
	for _, load := range []struct {
		model  string
		tokens int
		sizes  []int
	}{
		{ollamarun.TinyModel, 1024, []int{8, 16, 32, 64, 128, 256, 512, 1024}},
		{ollamarun.TinyModel, 4096, []int{8, 32, 128, 512, 1024, 2048, 4096}},
		{"medium", 512, []int{8, 16, 32, 64, 128, 256, 512}},
		{"medium", 1024, []int{8, 32, 64, 128, 256, 512, 1024}},
	} {
		b.Run(fmt.Sprintf("%s/tokens=%d", load.model, load.tokens), func(b *testing.B) {
			most := load.sizes[len(load.sizes)-1]
			c := newComparison(b, servers, load.model, load.tokens, most)
			_, err := c.probed.Load(b.Context(), 2*load.tokens, most, c.prompter.Warmup(most))
			require.NoError(b, err)
			for _, size := range load.sizes {
				b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { c.compare(b, size) })
			}
		})
	}
}

// comparison compares the rates of a model, for a length of the prompt.
type comparison struct {
	probed, direct *ollamarun.API
	client         *api.Client // of the probed server
	model          string
	prompter       *sweep.Prompter
	tokens, most   int                  // of the prompt, and the probed load's num_batch
	ratios         map[string][]float64 // by way
}

func newComparison(b *testing.B, servers [2]*ollamarun.Server, model string, tokens, most int) *comparison {
	c := &comparison{model: model, tokens: tokens, most: most, client: api.NewClient(servers[0].URL, http.DefaultClient)}
	for i, runner := range []**ollamarun.API{&c.probed, &c.direct} {
		var err error
		*runner, err = ollamarun.NewAPI(b.Context(), servers[i], model, nil, 2)
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, (*runner).Close(context.Background())) })
	}
	var err error
	c.prompter, err = sweep.NewPrompter(config.Prompt{Tokens: tokens}, 2)
	require.NoError(b, err)
	c.prompter.SetSizing(tinySizing)
	return c
}

// compare reports the ratios for a num_batch.
func (c *comparison) compare(b *testing.B, size int) {
	_, err := c.direct.Load(b.Context(), 2*c.tokens, size, c.prompter.Warmup(size))
	require.NoError(b, err)
	prompts, err := c.prompter.Prompts(2 * c.tokens)
	require.NoError(b, err)
	c.ratios = make(map[string][]float64)
	var rates []float64
	for range *probeTurns {
		raw, middle := probe(b, c.probed, size, c.tokens)
		own, _ := probe(b, c.direct, size, c.tokens)
		sample, err := c.direct.Sample(b.Context(), prompts)
		require.NoError(b, err)
		rate, ok := sample.PromptEvalRate()
		require.True(b, ok)
		rates = append(rates, rate)
		c.add("raw", raw*rate)
		c.add("middle", middle*rate)
		c.add("loads", raw/own)
		if size <= c.tokens/4 && c.tokens >= 1024 { // else there is no room, or too short a prompt
			_, first := probe(b, c.probed, size, c.tokens/2)
			_, second := probe(b, c.probed, size, c.tokens*3/2)
			c.add("depths", (first+second)/2*rate)
		}
		if c.tokens/size <= 16 { // else it takes too many requests
			c.add("pieces", c.pieces(b, size)*rate)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(verdict.Median(rates), "tokens/s")
	for way, ratios := range c.ratios {
		in, _ := verdict.IntervalOf(ratios)
		b.ReportMetric(in.Median, way)
		b.ReportMetric(in.Low, way+"-low")
		b.ReportMetric(in.High, way+"-high")
	}
}

// add adds a ratio. The argument is its inverse, which has the time of the probe as a factor.
func (c *comparison) add(way string, inverse float64) {
	c.ratios[way] = append(c.ratios[way], 1/inverse)
}

// probe returns the seconds for a token of a pass in the middle of a prompt of that length, with and
// without what the request costs besides.
func probe(b *testing.B, runner *ollamarun.API, size, length int) (raw, less float64) {
	const repeats = 2
	probes, err := runner.Probe(b.Context(), length, []int{size}, repeats, words)
	require.NoError(b, err)
	require.Len(b, probes, repeats)
	for _, p := range probes {
		raw += p.Duration.Seconds() / float64(p.Tokens) / repeats
		rate, ok := p.Rate()
		require.True(b, ok)
		less += 1 / rate / repeats
	}
	return raw, less
}

// pieces returns the seconds for a token of a prompt that is read a pass at a time.
func (c *comparison) pieces(b *testing.B, size int) float64 {
	const head = 4 // <s>, and the space that the tokenizer adds before a text, which is three tokens
	letters := make([]byte, c.tokens)
	for i := range letters {
		letters[i] = byte('a' + rand.IntN(26))
	}
	var sum time.Duration
	for end := size; end <= c.tokens; end += size {
		answer := generate(b, c.client, &api.GenerateRequest{
			Model: c.model, Prompt: string(letters[:end-head]), Raw: true,
			Options: map[string]any{"num_ctx": 2 * c.tokens, "num_batch": c.most, "num_predict": 1},
		})
		require.Equal(b, end, answer.PromptEvalCount)
		sum += answer.PromptEvalDuration
	}
	return sum.Seconds() / float64(c.tokens/size*size)
}
