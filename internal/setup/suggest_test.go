package setup

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

// TestSuggestSearch: an exhaustive sweep of very many cells begins with what a search would cost.
func TestSuggestSearch(t *testing.T) {
	race.SkipSequential(t)
	printed := func(cfg config.Config, o Options) string {
		var log strings.Builder
		b := &Sweep{config: cfg, log: &log}
		require.NoError(t, b.suggestSearch(o, nil))
		return log.String()
	}
	cfg := config.Config{
		Repeat: 1, Order: config.OrderCell, Strategy: config.StrategyExhaustive, Tolerance: config.DefaultTolerance,
		NumCtx: cell.Axis{Start: 4096, End: 4096 * 101, Step: 4096}, NumBatch: cell.Axis{Start: 8, End: 800, Step: 8},
	}
	assert.Regexp(t, `^10,100 cells to do take 14h2m: -strategy best searches for the fastest with \d+ to \d+ loads, about \d+m.*\n$`, printed(cfg, Options{}))
	assert.Empty(t, printed(cfg, Options{Filtered: true}))
	assert.Empty(t, printed(cfg, Options{Cells: 1}))
	fewer := cfg
	fewer.NumCtx.End = 4096 * 100
	assert.Empty(t, printed(fewer, Options{}))
	cfg.Strategy = config.StrategyBest
	assert.Empty(t, printed(cfg, Options{}))
}
