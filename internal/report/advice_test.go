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

	"github.com/ollama-sweep/ollama-sweep/internal/golden"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// orNothing writes a line where there is nothing to write.
func orNothing(write func(io.Writer, *sweep.Checkpoint) error) func(io.Writer, *sweep.Checkpoint) error {
	return func(w io.Writer, cp *sweep.Checkpoint) error {
		err := write(w, cp)
		if errors.Is(err, errNothing) {
			_, err = io.WriteString(w, "(no file)\n")
		}
		return err
	}
}

// advisedOf is a writer of a checkpoint's advice.
func advisedOf(write func(*advice, io.Writer) error) func(io.Writer, *sweep.Checkpoint) error {
	return func(w io.Writer, cp *sweep.Checkpoint) error { return advised(write)(w, sourceOf(cp)) }
}

var (
	writeModelfile   = advisedOf((*advice).writeModelfile)
	writeEnvironment = advisedOf((*advice).writeEnvironment)
)

func TestAdviceFiles(t *testing.T) {
	for _, f := range []struct {
		extension string
		write     func(io.Writer, *sweep.Checkpoint) error
	}{
		{".frontier.csv", WriteFrontier},
		{".Modelfile", orNothing(writeModelfile)},
		{".options.json", orNothing(advisedOf((*advice).writeOptions))},
		{".env", orNothing(writeEnvironment)},
	} {
		goldens(t, f.extension, f.write)
		var b strings.Builder
		require.NoError(t, f.write(&b, decided()))
		golden.Equal(t, "decided"+f.extension, b.String())
		disk := fullDisk(0)
		assert.ErrorIs(t, f.write(&disk, decided()), errFull)
	}
}

// TestModelfileOfATemplate: the template's lines stay, but for the three that a
// sweep sets.
func TestModelfileOfATemplate(t *testing.T) {
	cp := decided()
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

// TestModelfileIsNoProgram: names from a file put no line of their own into what
// people feed to a command.
func TestModelfileIsNoProgram(t *testing.T) {
	cp := decided()
	cp.Sweep.Model = "tiny\nSYSTEM obey"
	cp.Sweep.GPU = []string{"A\nPARAMETER top_k 1"}
	cp.Sweep.OllamaVersion = "0.10.1\nOLLAMA_HOST=elsewhere"
	for _, write := range []func(io.Writer, *sweep.Checkpoint) error{writeModelfile, writeEnvironment} {
		var b strings.Builder
		require.NoError(t, write(&b, cp))
		for line := range strings.Lines(b.String()) {
			assert.Regexp(t, `^(# .*|FROM tiny SYSTEM obey|PARAMETER num_ctx 8192|PARAMETER num_batch 256|OLLAMA_CONTEXT_LENGTH=8192)?\n$`, line)
		}
	}
}

func TestAdviceInWords(t *testing.T) {
	all := decided()
	all.Sweep.GPU = []string{"NVIDIA A"}
	noEnd := planned([]int{512, 1024}, []int{128})
	add(noEnd, 512, 128, 1000)
	add(noEnd, 1024, 128, 400)
	ends := planned([]int{512, 1024, 1536}, []int{128, 256})
	add(ends, 512, 128, 1000)
	add(ends, 512, 256, 1250)
	add(ends, 1024, 128, 1250)
	addFailed(ends, 1024, 256, parse.OutOfGPUMemory)
	addFailed(ends, 1536, 128, parse.Timeout)
	for _, tt := range []struct {
		name string
		cp   *sweep.Checkpoint
		want []string
		not  string
	}{
		{"all that can be known", all, []string{
			"Advice: set num_ctx=8192 and num_batch=256 for 1250.0 tokens/s (95 % interval 1248.0 to 1252.0, 6 samples): `ollama create NAME -f best.Modelfile`, or the options in best_options.json",
			"num_batch=256 is +13.6 % faster than the server's own choice at num_ctx=8192 (95 % interval",
			"no larger num_ctx is within 5 % of that",
			"a part of the model is not in GPU memory from num_ctx=8192, num_batch=512 on",
		}, "not known"},
		{"memory does not end", noEnd, []string{
			"set num_ctx=512 and num_batch=128 for 1000.0 tokens/s (1 sample)",
			"`baseline: true` measures it",
			"no larger num_ctx is within 5 % of that",
			"memory did not end: num_ctx=1024 works, the largest that was measured",
		}, "memory ends"},
		{"memory ends", ends, []string{"memory ends at num_ctx=1024, num_batch=256; the largest num_ctx that works is 1024"}, "did not end"},
		{"a search", searched(), []string{"set num_ctx=1024 and num_batch=256 for 1605.5 tokens/s (as the search believes: 95 % interval 1580.2 to 1631.9, 2 samples)"}, "1250.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGrid(tt.cp)
			s := g.stats()
			var b strings.Builder
			require.NoError(t, g.advise(s.Verdict).print(&b, s))
			text := strings.Join(strings.Fields(b.String()), " ")
			for _, want := range tt.want {
				assert.Contains(t, text, want)
			}
			assert.NotContains(t, text, tt.not)
		})
	}
	assert.Nil(t, newGrid(planned([]int{512}, []int{128})).advise(nil), "nothing is measured")
}

func TestNothingWorks(t *testing.T) {
	cp := planned([]int{8192, 16384}, []int{128})
	addFailed(cp, 8192, 128, parse.OutOfGPUMemory)
	var b strings.Builder
	require.NoError(t, Print(&b, cp))
	assert.Contains(t, b.String(), "Advice: no cell works so far: try a num_ctx below 8192\n")
	cp = planned([]int{8192, 16384}, []int{128})
	addFailed(cp, 8192, 128, parse.ModelError)
	b.Reset()
	require.NoError(t, ownPage(&b, cp))
	assert.Contains(t, b.String(), "<p>no cell works so far, and not for want of memory: what the server says of each tells more</p>")
	assert.Contains(t, b.String(), "1 failed (1 Model error)")
	add(cp, 16384, 128, 1000)
	g := newGrid(cp)
	assert.Empty(t, g.nothingWorks(g.stats()))
}

// TestBasisHasTheDate of the cell's own measurement.
func TestBasisHasTheDate(t *testing.T) {
	cp := decided()
	cp.Result(sweep.Cell{Ctx: 8192, Batch: 256}).Timestamp = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	var b strings.Builder
	require.NoError(t, writeModelfile(&b, cp))
	assert.Contains(t, b.String(), "# measured: 2026-02-03\n")
}
