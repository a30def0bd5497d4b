package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// cachingServer simulates a server that caches the prompt that it has read. Its answers are captured ones
// with the figures of the request.
type cachingServer struct {
	loaded            string // settings
	prompt            string // in the cache
	cached, evaluated int    // tokens of the latest prompt
	passes            []int  // tokens of each pass
	depths            []int  // tokens before each pass
	// withoutFigures is how many of the next answers have no figures.
	withoutFigures int
	silent         bool // its log has no tokens
}

// head is the number of tokens of each prompt before its text.
const head = 4

// passTime is how long a pass takes: a constant, and parts for its tokens, its depth and num_batch.
func passTime(tokens, depth, numBatch int) time.Duration {
	return 50*time.Microsecond + time.Duration(tokens)*(20*time.Microsecond+time.Duration(depth)*time.Nanosecond) + time.Duration(numBatch)*100*time.Nanosecond
}

func (k *cachingServer) generate(body string) http.HandlerFunc {
	var asked struct {
		Model, Prompt string
		Options       struct {
			NumBatch int `json:"num_batch"`
		}
	}
	json.Unmarshal([]byte(body), &asked)
	if settings := fmt.Sprint(asked.Model, asked.Options); settings != k.loaded {
		k.loaded, k.prompt = settings, ""
	}
	k.cached = 0
	if k.prompt != "" {
		k.cached = head + common(k.prompt, asked.Prompt)
	}
	k.prompt = asked.Prompt
	tokens := head + len(asked.Prompt)
	k.evaluated = tokens - k.cached
	var took time.Duration
	for at := k.cached; at < tokens; {
		n := min(asked.Options.NumBatch, tokens-at)
		k.passes, k.depths = append(k.passes, n), append(k.depths, at)
		took += passTime(n, at, asked.Options.NumBatch)
		at += n
	}
	if k.withoutFigures > 0 {
		k.withoutFigures--
		return ollamatest.Reply("")
	}
	return ollamatest.Reply(strings.NewReplacer(
		`"prompt_eval_count":21`, fmt.Sprintf(`"prompt_eval_count":%d`, tokens),
		`"prompt_eval_duration":5092533`, fmt.Sprintf(`"prompt_eval_duration":%d`, took),
	).Replace(ollamatest.Captured("generate.ndjson")))
}

func common(a, b string) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func (k *cachingServer) Mark() error { return nil }

func (k *cachingServer) Evaluated(context.Context, time.Duration) (cached, evaluated int, ok bool) {
	return k.cached, k.evaluated, !k.silent
}

// probing returns a prober on a caching server, and its readings.
func probing(t *testing.T, k *cachingServer) (*prober, *[]reading) {
	t.Helper()
	server := ollamatest.New(t)
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		if r.Path != "/api/generate" {
			return nil
		}
		return k.generate(r.Body)
	})
	var readings []reading
	return &prober{
		client: api.NewClient(server.URL, http.DefaultClient), log: k, text: &texts{Rand: rand.New(rand.NewPCG(1, 2))},
		depth: 350, whole: 700, overhead: make(map[string]int),
		onReading: func(r reading) error {
			readings = append(readings, r)
			return nil
		},
	}, &readings
}

var probed = load{"tiny", flashOn, 1024, 256}

func TestCombination(t *testing.T) {
	for name, silent := range map[string]bool{"tokens from the log": false, "tokens from the expected cache": true} {
		t.Run(name, func(t *testing.T) {
			p, readings := probing(t, &cachingServer{silent: silent})
			require.NoError(t, p.combination(t.Context(), probed, []int{64, 256}, 2, 64))
			assert.Len(t, *readings, 2*2*(2+2+1)+2*(2+2+2))
			for _, r := range *readings {
				assert.Equal(t, !silent, r.verified)
				numBatch := r.numBatch
				var want time.Duration
				switch r.way {
				case wayStart:
					assert.Equal(t, []int{head, r.batch - head}, []int{r.depth, r.tokens})
					want = passTime(r.tokens, head, numBatch)
				case wayMiddle:
					assert.Equal(t, []int{350, r.batch}, []int{r.depth, r.tokens})
					want = passTime(r.batch, 350, numBatch)
				case wayPieces, wayWhole:
					assert.Equal(t, 700-head, r.tokens)
					size := r.batch
					for at := head; at < 700; {
						n := min(size, 700-at)
						if at == head && r.way == wayPieces {
							n = size - head // the tokens before the text are a part of the first piece
						}
						want += passTime(n, at, numBatch)
						at += n
					}
				}
				assert.Equal(t, want, r.duration, "%+v", r)
			}
		})
	}
}

// TestOnePass: each probe is evaluated in one pass, and so is each piece of a whole prompt.
func TestOnePass(t *testing.T) {
	k := &cachingServer{}
	p, _ := probing(t, k)
	require.NoError(t, p.begin(t.Context(), probed))
	k.passes, k.depths = nil, nil
	_, err := p.pieces(t.Context(), probed, 128)
	require.NoError(t, err)
	assert.Equal(t, []int{124, 128, 128, 128, 128, 60}, k.passes)
	assert.Equal(t, []int{4, 128, 256, 384, 512, 640}, k.depths)
}

func TestAnswersWithoutFigures(t *testing.T) {
	k := &cachingServer{withoutFigures: 2}
	p, readings := probing(t, k)
	require.NoError(t, p.begin(t.Context(), probed), "it tries another prompt")
	assert.Equal(t, head, p.overhead["tiny"])
	k.withoutFigures = 1
	require.NoError(t, p.take(t.Context(), probed, 64, 3, wayStart))
	assert.Len(t, *readings, 3, "only the first reading, which is dropped anyway, had no figures")
	k.withoutFigures = 100
	assert.ErrorIs(t, p.begin(t.Context(), probed), errNoFigures)
}

func TestRatios(t *testing.T) {
	p, readings := probing(t, &cachingServer{})
	require.NoError(t, p.combination(t.Context(), probed, []int{64, 256}, 2, 64))
	all := ratios(*readings, probed.numBatch)
	var b strings.Builder
	require.NoError(t, writeRatios(&b, all))
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1+2*3)
	assert.Equal(t, ratiosHeader, rows[0])
	probe, direct := passTime(64, 350, 256), passTime(64, 350, 64)
	whole := time.Duration(0)
	for at := head; at < 700; at += 64 {
		whole += passTime(min(64, 700-at), at, 64)
	}
	wholeRate := 696 / whole.Seconds()
	assert.Equal(t, []string{"tiny", "on", "64", "middle", "350", "64", fmt.Sprintf("%.6f", probe.Seconds()), fmt.Sprintf("%.2f", 64/probe.Seconds()),
		fmt.Sprintf("%.2f", 64/direct.Seconds()), fmt.Sprintf("%.4f", direct.Seconds()/probe.Seconds()), fmt.Sprintf("%.2f", wholeRate),
		fmt.Sprintf("%.4f", 64/probe.Seconds()/wholeRate), "4", "2", "true"}, rows[2])
	assert.Empty(t, rows[4][8], "the load's own num_batch has no direct reading")
	assert.NotEmpty(t, rows[6][8], "except for pieces")

	text := table(all)
	require.Len(t, text, 4)
	assert.Equal(t, "tiny, flash attention on:", text[0])
	assert.Contains(t, text[2], fmt.Sprintf("%.3f (%.3f)", direct.Seconds()/probe.Seconds(), 64/probe.Seconds()/wholeRate))
	assert.Contains(t, text[3], "---")
	assert.Empty(t, ratios(nil, 256))
}

// TestRatiosOfAStoppedCombination: missing figures are blank and not 0.
func TestRatiosOfAStoppedCombination(t *testing.T) {
	all := ratios([]reading{{load: probed, batch: 64, way: wayStart, tokens: 60, duration: time.Millisecond}}, 256)
	require.Len(t, all, 1)
	row := all[0].row()
	assert.Equal(t, []string{"60000.00", "", "", "", ""}, row[7:12])
	assert.Equal(t, "false", row[len(row)-1])
}
