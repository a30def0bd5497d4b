package survives

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/setup"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// state is what the process uses after some cells of the soak test.
type state struct {
	cells, heapKB, files, goroutines int
	perCell                          time.Duration // since the previous state
}

func (s state) String() string {
	return fmt.Sprintf("%6d cells: heap %6d kB, %2d files, %2d goroutines, %v a cell", s.cells, s.heapKB, s.files, s.goroutines, s.perCell.Round(10*time.Microsecond))
}

// TestSurvivesSoak measures many thousand cells in one process: open files and goroutines don't grow,
// and the heap grows only with the checkpoint. The time per cell, which grows with the checkpoint,
// is only logged; benchmarks measure it. It counts what this process has open, so no other test may run
// beside it.
func TestSurvivesSoak(t *testing.T) {
	t.Run("two axes", func(t *testing.T) {
		soak(t, inFull(20_000, 160), func(i int) cell.Key { return cell.Key{Ctx: 1024 + i/64, Batch: 8 + i%64} })
	})
	t.Run("four axes", func(t *testing.T) {
		options := cell.Combinations([]cell.SettingAxis{{Name: "num_gpu", Values: []string{"auto", "0", "20", "40"}}, {Name: "num_thread", Values: []string{"1", "2"}}})
		soak(t, inFull(4_000, 40), func(i int) cell.Key {
			return cell.Key{Ctx: 1024 + i/64, Batch: 8 + i/8%8, Settings: options[i%8]}
		})
	})
}

// soak measures so many cells.
func soak(t *testing.T, cells int, cellOf func(i int) cell.Key) {
	t.Helper()
	server := ollamatest.New(t)
	server.Simulate(100) // so that a busy machine refuses no figure
	runner, err := ollamarun.NewAPI(t.Context(), &ollamarun.Server{URL: server.URL}, "tiny", nil, 2)
	require.NoError(t, err)
	s := sweeptest.InProcess(t, t.TempDir(), setup.CellRunner(runner, nil), 100)
	for i := range cells {
		s.Plan = append(s.Plan, cellOf(i))
	}

	var states []state
	measured, since := 0, time.Now()
	summary := s.Run(t.Context(), func(_ string, measure func() sweep.Outcome) {
		if o := measure(); o.Skip != "" {
			t.Log(o.Skip)
		}
		if measured++; measured%(cells/10) != 0 {
			return
		}
		now := stateOf(t, measured)
		now.perCell = time.Since(since) / time.Duration(cells/10)
		states = append(states, now)
		t.Log(now)
		since = time.Now()
	})
	require.NoError(t, summary.Usable())
	require.Equal(t, cells, summary.Measured)

	first, last := states[0], states[len(states)-1]
	assert.LessOrEqual(t, last.files, first.files+2, "open files")
	assert.LessOrEqual(t, last.goroutines, first.goroutines+2, "goroutines")
	// A result takes 1.5 kB twice: as a value, and as its line in the file.
	const perResult, slack = 3, 16 << 10 // kB
	assert.Less(t, last.heapKB-first.heapKB, perResult*(last.cells-first.cells)+slack, "heap, without the checkpoint")
}

func stateOf(t *testing.T, cells int) state {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := state{cells: cells, heapKB: int(m.HeapAlloc >> 10), goroutines: runtime.NumGoroutine()}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil { // else 0
		s.files = len(open)
	}
	return s
}
