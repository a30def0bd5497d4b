package report

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ollama/ollama/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
)

// orNothing adapts write so that it writes a line instead of returning errNothing.
func orNothing(write func(io.Writer, *checkpoint.Checkpoint) error) func(io.Writer, *checkpoint.Checkpoint) error {
	return func(w io.Writer, cp *checkpoint.Checkpoint) error {
		err := write(w, cp)
		if errors.Is(err, errNothing) {
			_, err = io.WriteString(w, "(no file)\n")
		}
		return err
	}
}

// advisedOf adapts a writer of advice to one of checkpoints.
func advisedOf(write func(*advice, io.Writer) error) func(io.Writer, *checkpoint.Checkpoint) error {
	return func(w io.Writer, cp *checkpoint.Checkpoint) error { return advised(write)(newGrid(cp), w) }
}

var (
	writeModelfile   = advisedOf((*advice).writeModelfile)
	writeEnvironment = advisedOf((*advice).writeEnvironment)
)

func TestAdviceFiles(t *testing.T) {
	for _, f := range []struct {
		extension string
		write     func(io.Writer, *checkpoint.Checkpoint) error
	}{
		{".frontier.csv", WriteFrontier},
		{".Modelfile", orNothing(writeModelfile)},
		{".options.json", orNothing(advisedOf((*advice).writeOptions))},
		{".env", orNothing(writeEnvironment)},
	} {
		goldens(t, f.extension, f.write)
		var b strings.Builder
		require.NoError(t, f.write(&b, checkpoints.Decided()))
		golden.Equal(t, "decided"+f.extension, b.String())
		disk := fullDisk(0)
		assert.ErrorIs(t, f.write(&disk, checkpoints.Decided()), errFull)
	}
}

// TestModelfileOfATemplate checks that the template's lines are kept, except for the
// three parameters that a sweep sets.
func TestModelfileOfATemplate(t *testing.T) {
	cp := checkpoints.Decided()
	cp.Sweep.Model = "tiny"
	cp.Sweep.Modelfile = "FROM tiny\nSYSTEM \"\"\"be\nbrief\"\"\"\nPARAMETER num_batch 8\nPARAMETER top_k 5\nPARAMETER num_predict 2\n"
	var b strings.Builder
	require.NoError(t, writeModelfile(&b, cp))
	f, err := parser.ParseFile(strings.NewReader(b.String()))
	require.NoError(t, err)
	assert.Equal(t, []parser.Command{
		{Name: "model", Args: "tiny"},
		{Name: "system", Args: "be\nbrief"},
		{Name: "top_k", Args: "5"},
		{Name: "num_ctx", Args: "8192"},
		{Name: "num_batch", Args: "256"},
	}, f.Commands)

	cp.Sweep.Modelfile = "no such line"
	assert.ErrorContains(t, writeModelfile(io.Discard, cp), "reading the checkpoint's modelfile: ")
}

// TestAdviceFilesResistInjection checks that names from a checkpoint can't add lines to
// the files that users pass to commands.
func TestAdviceFilesResistInjection(t *testing.T) {
	cp := checkpoints.Decided()
	cp.Sweep.Model = "tiny\nSYSTEM obey"
	cp.Sweep.GPU = []string{"A\nPARAMETER top_k 1"}
	cp.Sweep.OllamaVersion = "0.10.1\nOLLAMA_HOST=elsewhere"
	for _, write := range []func(io.Writer, *checkpoint.Checkpoint) error{writeModelfile, writeEnvironment} {
		var b strings.Builder
		require.NoError(t, write(&b, cp))
		for line := range strings.Lines(b.String()) {
			assert.Regexp(t, `^(# .*|FROM tiny SYSTEM obey|PARAMETER num_ctx 8192|PARAMETER num_batch 256|OLLAMA_CONTEXT_LENGTH=8192)?\n$`, line)
		}
	}
}

// advised4 is a sweep of four num_ctx with the given rates over num_batch and 0.1 % of
// scatter, on a server whose own num_batch is 512.
func advised4(batches []int, rates ...float64) *checkpoint.Checkpoint {
	ctxs := []int{1024, 2048, 3072, 4096}
	cp := checkpoints.Planned(ctxs, batches)
	cp.Sweep.OllamaVersion = "0.10.1"
	cp.Sweep.Command = "-config my.yaml"
	for i, ctx := range ctxs {
		for j, batch := range batches {
			scatter := 0.001 * float64((i+j)%2)
			r := checkpoints.Add(cp, ctx, batch, rates[j]*(1+scatter))
			r.Samples[0].Wall = time.Second
			r.Warmup = &measurement.Sample{Wall: 2 * time.Second}
		}
	}
	return cp
}

// inTurns adds the rounds of a baseline at num_ctx=4096.
func inTurns(cp *checkpoint.Checkpoint, batch int, rate, own float64) *checkpoint.Checkpoint {
	for round := range 6 {
		for b, rate := range map[int]float64{batch: rate, 0: own} {
			r := checkpoints.Add(checkpoints.Planned(nil, nil), 4096, b, rate*(1+0.001*float64(round%3)))
			cp.Auxiliary = append(cp.Auxiliary, checkpoint.Auxiliary{Purpose: checkpoint.Baseline, Result: *r})
		}
	}
	return cp
}

func TestAdviceTexts(t *testing.T) {
	failing := checkpoints.Planned([]int{1024, 2048}, []int{128, 256})
	checkpoints.Add(failing, 1024, 128, 1000)
	for _, c := range failing.Plan()[1:] {
		checkpoints.AddFailed(failing, c.Ctx, c.Batch, measurement.NoFigures)
	}
	thirtieth := checkpoints.Planned(checkpoints.Steps(1024, 1024, 10), checkpoints.Steps(64, 64, 6))
	checkpoints.Add(thirtieth, 1024, 64, 1000)
	checkpoints.Add(thirtieth, 1024, 128, 1250)
	disturbed := inTurns(advised4([]int{128, 256}, 1000, 1250), 256, 1250, 1000)
	for i := range disturbed.Auxiliary {
		if r := &disturbed.Auxiliary[i]; r.NumBatch == 256 && i < 2 {
			r.Samples[0].PromptEvalDuration = r.Samples[0].PromptEvalDuration * 7 / 5
			r.SetRate()
		}
	}
	two := checkpoints.Planned([]int{512}, []int{128, 256})
	two.Sweep.Command = "-config my.yaml"
	checkpoints.Add(two, 512, 128, 1000).Samples[0].Wall = time.Second
	checkpoints.Add(two, 512, 256, 1040).Samples[0].Wall = time.Second
	memory := advised4([]int{128, 512}, 1000, 1250)
	class := measurement.OutOfGPUMemory
	memory.Results[7].Error, memory.Results[7].PromptEvalRate, memory.Results[7].Samples = &class, nil, nil
	for _, tt := range []struct {
		name      string
		cp        *checkpoint.Checkpoint
		has, lack []string
		batch     bool // num_batch is in the advice files
	}{
		{"over the server's own row", advised4([]int{128, 256, 512}, 1000, 1250, 1100), []string{
			"set num_batch=256: +14 % (95 % 12 to 16) over the server's own 512", "num_ctx=4096: 12", "the largest measured",
		}, []string{"is unknown"}, true},
		{"over the baseline", inTurns(advised4([]int{128, 256}, 1000, 1250), 256, 1250, 1000), []string{
			"set num_batch=256: +25 % (95 % 25 to 25) over the server's own 512, measured in turns",
		}, []string{"is unknown"}, true},
		{"over other rows", advised4([]int{32, 64, 128}, 600, 850, 1000), []string{
			"set num_batch=128: 1.7 times as fast as 32, 18 % faster than 64",
			"to measure the gain over the server's own num_batch, in about 36s: go test -run Sweep -timeout 0 -config my.yaml -baseline -out=elsewhere",
		}, nil, true},
		{"the server's own is the best", advised4([]int{128, 256, 512}, 600, 850, 1000), []string{
			"leave num_batch to the server: its own 512 is faster than all others",
		}, []string{"go test"}, false},
		{"the baseline is faster", inTurns(advised4([]int{128, 256}, 1000, 1250), 256, 1000, 1250), []string{
			"leave num_batch to the server: num_batch=256 is 20.0 % slower than its own (95 % 20 to 20)",
		}, nil, false},
		{"rounds that scatter", disturbed, []string{
			"can't tell yet whether to set num_batch=256: +25 % (95 % -11 to 25) over the server's own 512, measured in turns",
		}, []string{"would not show"}, false},
		{"no difference", advised4([]int{128, 256, 512}, 1000, 1000, 1000), []string{"leave num_batch to the server: "}, nil, false},
		{"too few samples", two, []string{
			"can't tell yet: differences below 32 % would not show", "to narrow it down, in about 10s: go test -run Sweep -timeout 0 -config my.yaml -repeat=6 -out=elsewhere",
		}, nil, false},
		{"failures for other reasons", failing, []string{"no advice yet: 1 cell has a rate, and 3 failed for other reasons than memory (3 Parse error)"}, nil, false},
		{"a thirtieth of the grid", thirtieth, []string{"no advice yet: 2 of 60 cells have a rate"}, nil, false},
		{"out of memory", memory, []string{"num_ctx=3072: "}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGrid(tt.cp)
			a := g.advise(g.stats().Verdict)
			var b strings.Builder
			require.NoError(t, a.print(&b, "elsewhere"))
			text := strings.Join(strings.Fields(b.String()), " ")
			for _, want := range tt.has {
				assert.Contains(t, text, want)
			}
			for _, not := range tt.lack {
				assert.NotContains(t, text, not)
			}
			b.Reset()
			require.NoError(t, orNothing(advisedOf((*advice).writeOptions))(&b, tt.cp))
			assert.Equal(t, tt.batch, strings.Contains(b.String(), "num_batch"), b.String())
		})
	}
	assert.Nil(t, newGrid(checkpoints.Planned([]int{512}, []int{128})).advise(nil), "nothing is measured")
}

func TestNothingWorks(t *testing.T) {
	cp := checkpoints.Planned([]int{8192, 16384}, []int{128})
	checkpoints.AddFailed(cp, 8192, 128, measurement.OutOfGPUMemory)
	var b strings.Builder
	require.NoError(t, Print(&b, cp, Options{}))
	assert.Contains(t, b.String(), "Advice: no cell works so far: try a num_ctx below 8192\n")
	cp = checkpoints.Planned([]int{8192, 16384}, []int{128})
	checkpoints.AddFailed(cp, 8192, 128, measurement.ModelError)
	b.Reset()
	require.NoError(t, ownPage(&b, cp))
	assert.Contains(t, b.String(), "<p>no cell works so far, and memory is not the reason: see the server&#39;s error for each cell</p>")
	assert.Contains(t, b.String(), "1 failed (1 Model error)")
	checkpoints.Add(cp, 16384, 128, 1000)
	g := newGrid(cp)
	assert.Empty(t, g.nothingWorks(g.stats()))
}

// TestBasisHasTheDate checks that the basis has the date of the recommended cell's
// measurement.
func TestBasisHasTheDate(t *testing.T) {
	cp := checkpoints.Decided()
	cp.Result(cell.Key{Ctx: 8192, Batch: 256}).Timestamp = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	var b strings.Builder
	require.NoError(t, writeModelfile(&b, cp))
	assert.Contains(t, b.String(), "# measured: 2026-02-03\n")
}

// TestFrontierInterval checks that an interval that does not contain the rate is left blank,
// as happens after a change of the machine.
func TestFrontierInterval(t *testing.T) {
	best := sweep.ColumnBest{Key: cell.Key{Ctx: 1024, Batch: 64}, Rate: 1003, Rates: []float64{1000, 1001, 1002, 1003, 1004, 1005}, Measured: 1, Planned: 2}
	assert.Equal(t, []string{"1024", "64", "1003.00", "1000.00", "1005.00", "6", "1", "2", "measured"}, newGrid(checkpoints.Planned(nil, nil)).frontierRows([]sweep.ColumnBest{best})[1])
	best.Rate = 1100
	assert.Equal(t, []string{"1024", "64", "1100.00", "", "", "6", "1", "2", "measured"}, newGrid(checkpoints.Planned(nil, nil)).frontierRows([]sweep.ColumnBest{best})[1])
}
