package search

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// gridWithSettings has three num_ctx by four num_batch by the values of two other axes.
func gridWithSettings() []cell.Key {
	plan, _ := cell.Grid{Ctx: []int{2048, 4096, 8192}, Batch: []int{128, 256, 512, 1024}, Settings: []cell.SettingAxis{
		{Name: "num_thread", Values: []string{"4", "auto", "8"}}, {Name: "flash_attention", Values: []string{"auto", "on", "off"}},
	}}.Cells()
	return plan
}

// played measures what a strategy chooses, with true rates, until it has ended.
func played(t *testing.T, strategy sweep.Strategy, plan []cell.Key, rate func(cell.Key) float64) (order []cell.Key, answer *checkpoint.Answer) {
	t.Helper()
	st := sweep.State{Plan: plan, Measured: make(map[cell.Key]checkpoint.Measured), PromptTokens: 7000}
	for range 10 * len(plan) {
		choice := strategy.Next(st)
		if len(choice.Cells) == 0 {
			return order, choice.Answer
		}
		for _, c := range choice.Cells {
			known := st.Measured[c]
			if r := rate(c); r == 0 {
				known.Failed = true
			} else {
				for len(known.Rates) < choice.Samples {
					known.Rates = append(known.Rates, r)
				}
			}
			if st.Loaded != c {
				order = append(order, c)
			}
			st.Measured[c], st.Loaded = known, c
		}
	}
	require.Fail(t, "the search does not end")
	return nil, nil
}

// TestBestOverSettings: the search begins with what is left to the server, and finds the value of another
// axis that is much faster, at the num_batch that is best with it.
func TestBestOverSettings(t *testing.T) {
	plan := gridWithSettings()
	order, answer := played(t, &Best{Tolerance: 0.01, Repeat: 1}, plan, func(c cell.Key) float64 {
		r := 100 * math.Sqrt(float64(c.Batch)) * (1 - float64(c.Ctx)/1e6)
		if v, _ := c.Settings.Value("flash_attention"); v == "on" {
			r *= 2
		}
		return r
	})
	assert.Equal(t, cell.Key{Ctx: 2048, Batch: 512, Settings: "num_thread=auto/flash_attention=auto"}, order[0])
	on, _ := answer.Best.Settings.Value("flash_attention")
	assert.Equal(t, "on", on)
	assert.Equal(t, 1024, answer.Best.Batch)
	assert.True(t, answer.Done)
	assert.Less(t, len(order), len(plan)/3)
}

// TestRefused: a value that fails everywhere, and two values that fail together only, cost a search few loads.
func TestRefused(t *testing.T) {
	withCaches, _ := cell.Grid{Ctx: []int{2048, 4096, 8192}, Batch: []int{128, 256, 512, 1024}, Settings: []cell.SettingAxis{
		{Name: "num_thread", Values: []string{"4", "auto", "8"}}, {Name: "flash_attention", Values: []string{"on", "off"}}, {Name: "kv_cache_type", Values: []string{"f16", "q8_0"}},
	}}.Cells()
	for _, test := range []struct {
		name    string
		plan    []cell.Key
		refuses map[string]string // values by setting
		most    int
	}{
		{"a value", gridWithSettings(), map[string]string{"flash_attention": "on"}, 6},
		{"two values together", withCaches, map[string]string{"flash_attention": "off", "kv_cache_type": "q8_0"}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			failed := 0
			order, answer := played(t, &Best{Tolerance: 0.01, Repeat: 1}, test.plan, func(c cell.Key) float64 {
				for name, refused := range test.refuses {
					if v, _ := c.Settings.Value(name); v != refused {
						return float64(c.Batch)
					}
				}
				failed++
				return 0
			})
			assert.LessOrEqual(t, failed, test.most, "of %d", len(order))
			assert.Equal(t, 1024, answer.Best.Batch)
		})
	}
}

// TestOtherAxesBefore: cells that were measured without the other axes do no harm.
func TestOtherAxesBefore(t *testing.T) {
	st := sweep.State{Plan: gridWithSettings(), Measured: make(map[cell.Key]checkpoint.Measured), PromptTokens: 7000}
	for n, batch := range []int{128, 256, 512, 1024} {
		st.Measured[cell.Key{Ctx: 2048, Batch: batch}] = checkpoint.Measured{Rates: []float64{float64(1000 + n)}}
	}
	b := &Best{Tolerance: 0.01, Repeat: 1}
	for range 5 {
		choice := b.Next(st)
		require.Len(t, choice.Cells, 1)
		st.Measured[choice.Cells[0]] = checkpoint.Measured{Rates: []float64{500}}
		st.Loaded = choice.Cells[0]
	}
}

// TestFrontierOverSettings: each num_ctx gets the best of all other settings, with its whole key.
func TestFrontierOverSettings(t *testing.T) {
	_, answer := played(t, &Frontier{Tolerance: 0.01, Repeat: 1}, gridWithSettings(), func(c cell.Key) float64 {
		r := float64(c.Batch)
		if v, _ := c.Settings.Value("num_thread"); v == "8" {
			r *= 3
		}
		return r
	})
	require.Len(t, answer.Columns, 3)
	for _, column := range answer.Columns {
		threads, _ := column.Cell().Settings.Value("num_thread")
		assert.Equal(t, "8", threads)
		assert.Equal(t, 1024, column.Cell().Batch)
	}
}

// TestFewRestarts: of cells with about the same prospects, a search measures those first that need no
// restart of the server.
func TestFewRestarts(t *testing.T) {
	restarts := 0
	order, _ := played(t, &Best{Tolerance: 0.01, Repeat: 1}, gridWithSettings(), func(c cell.Key) float64 { return 100 + float64(c.Batch)/100 })
	for i := 1; i < len(order); i++ {
		if order[i].Settings.Server() != order[i-1].Settings.Server() {
			restarts++
		}
	}
	assert.Less(t, restarts, len(order)/2, "%v", order)
}
