package parse

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

func captured(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "ollama-0.10.1-"+name))
	require.NoError(t, err)
	return data
}

func TestSummaryCaptured(t *testing.T) {
	for file, want := range map[string]measurement.Sample{
		"run.stderr": {
			TotalDuration: 564506889, LoadDuration: 264095302,
			PromptEvalCount: 943, PromptEvalDuration: 297594909, EvalCount: 2, EvalDuration: 1870838,
		},
		"run.terminal": {
			TotalDuration: 5296098, LoadDuration: 1258749,
			PromptEvalCount: 943, PromptEvalDuration: 1657268, EvalCount: 2, EvalDuration: 1864568,
		},
		"run-argument.terminal": {
			TotalDuration: 4162957, LoadDuration: 711538,
			PromptEvalCount: 17, PromptEvalDuration: 2469767, EvalCount: 2, EvalDuration: 402674,
		},
	} {
		got, err := Summary(captured(t, file))
		require.NoError(t, err, file)
		assert.Equal(t, want, got, file)
	}
}

// TestSummaryCached has the line of cached tokens that later servers print.
func TestSummaryCached(t *testing.T) {
	got, err := Summary([]byte("load duration:        9.1798ms\nprompt eval count:    45 token(s)\nprompt eval cached:   32 token(s)\nprompt eval duration: 276.661ms\nprompt eval rate:     46.99 tokens/s\n"))
	require.NoError(t, err)
	cached := 32
	assert.Equal(t, measurement.Sample{LoadDuration: 9179800, PromptEvalCount: 45, PromptCached: &cached, PromptEvalDuration: 276661 * time.Microsecond}, got)
	rate, _ := got.PromptEvalRate()
	assert.InDelta(t, 46.99, rate, 0.005)

	_, err = Summary([]byte("prompt eval count:    45 token(s)\nprompt eval cached:   46 token(s)\nprompt eval duration: 276.661ms\n"))
	assert.Error(t, err)
}

func TestSummaryCapturedFailures(t *testing.T) {
	for file, want := range map[string]measurement.Failure{
		"run-negative-batch.stderr": {Class: measurement.RunnerCrashed, Detail: "500 Internal Server Error: llama runner process has terminated: exit status 2"},
		"run-no-memory.stderr":      {Class: measurement.RunnerCrashed, Detail: "500 Internal Server Error: llama runner process has terminated: exit status 2"},
		"run-runner-killed.stderr":  {Class: measurement.RunnerCrashed, Detail: "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details"},
		"run-no-server.stderr":      {Class: measurement.ServerAway, Detail: "ollama server not responding - could not connect to ollama server, run 'ollama serve' to start it"},
	} {
		_, err := Summary(captured(t, file))
		assert.Equal(t, &want, err, file)
		assert.Equal(t, want.Detail, ErrorText(captured(t, file)), file)
	}
	for _, file := range []string{"run.stdout", "create.stderr"} {
		_, err := Summary(captured(t, file))
		var failure *measurement.Failure
		require.ErrorAs(t, err, &failure, file)
		assert.Equal(t, measurement.NoFigures, failure.Class, file)
	}
	assert.Empty(t, ErrorText(captured(t, "run.stderr")))
	assert.Empty(t, ErrorText(captured(t, "create.stderr")))
}

func TestSummaryForms(t *testing.T) {
	const whole = "prompt eval count:    3684 token(s)\nprompt eval duration: 12.963530257s\n"
	want := measurement.Sample{PromptEvalCount: 3684, PromptEvalDuration: 12963530257}
	for _, test := range []struct {
		name, text string
		want       measurement.Sample
	}{
		{"only the required lines", whole, want},
		{"CRLF", "prompt eval count:    3684 token(s)\r\nprompt eval duration: 12.963530257s\r\n", want},
		{"no newline at the end", "prompt eval duration: 12.963530257s\nprompt eval count:    3684 token(s)", want},
		{"micro, and minutes", "total duration:       1m2.3s\nload duration:        958.101µs\n" + whole,
			measurement.Sample{PromptEvalCount: 3684, PromptEvalDuration: 12963530257, TotalDuration: 62300 * time.Millisecond, LoadDuration: 958101}},
		{"after a spinner", "\x1b[?25l⠙ \x1b[K\x1b[2K\x1b[1Gtotal duration:       1s\n" + whole,
			measurement.Sample{PromptEvalCount: 3684, PromptEvalDuration: 12963530257, TotalDuration: time.Second}},
		{"rates are not read", whole + "prompt eval rate:     1 tokens/s\neval rate:            nonsense\n", want},
		{"two summaries", "total duration:       1s\neval count:           7 token(s)\n" + whole + "total duration:       2s\n" + whole,
			measurement.Sample{PromptEvalCount: 3684, PromptEvalDuration: 12963530257, TotalDuration: 2 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Summary([]byte(test.text))
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestSummaryRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", `Parse error: no prompt eval count and duration in the summary: ""`},
		{"no duration", "prompt eval count:    3684 token(s)\n", "no prompt eval count and duration"},
		{"zero", "prompt eval count:    0 token(s)\nprompt eval duration: 0s\n", "no prompt eval count and duration"},
		{"not a number", "\n\nprompt eval count:    many token(s)\n", `Parse error: line 1: "prompt eval count:    many token(s)": strconv.Atoi: parsing "many"`},
		{"no unit", "prompt eval count:    5\n", "not of the form `N token(s)`"},
		{"negative count", "x\nprompt eval count:    -5 token(s)\n", `line 2: "prompt eval count:    -5 token(s)": a negative count`},
		{"too large", "prompt eval count:    99999999999999999999 token(s)\n", "value out of range"},
		{"negative duration", "prompt eval duration: -1s\n", "a negative duration"},
		{"bad duration", "prompt eval duration: NaN\n", `invalid duration "NaN"`},
		{"the label not at the start", "said prompt eval count:    5 token(s)\nsaid prompt eval duration: 1s\n", "no prompt eval count"},
		{"an error, no figures", "Error: model 'x' not found\n", "Model error: model 'x' not found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Summary([]byte(test.text))
			assert.ErrorContains(t, err, test.want)
		})
	}
}

// format writes the summary as Ollama does.
func format(s measurement.Sample) string {
	text := ""
	for _, f := range []struct {
		label  string
		value  any
		absent bool
	}{
		{"total duration:       %v\n", s.TotalDuration, s.TotalDuration == 0},
		{"load duration:        %v\n", s.LoadDuration, s.LoadDuration == 0},
		{"prompt eval count:    %d token(s)\n", s.PromptEvalCount, s.PromptEvalCount == 0},
		{"prompt eval duration: %v\n", s.PromptEvalDuration, s.PromptEvalDuration == 0},
		{"eval count:           %d token(s)\n", s.EvalCount, s.EvalCount == 0},
		{"eval duration:        %v\n", s.EvalDuration, s.EvalDuration == 0},
	} {
		if !f.absent {
			text += fmt.Sprintf(f.label, f.value)
		}
	}
	return text
}

func FuzzSummary(f *testing.F) {
	for _, file := range []string{"run.stderr", "run.terminal", "run-negative-batch.stderr", "run-no-server.stderr", "create.stderr"} {
		f.Add(captured(f, file))
	}
	f.Add([]byte("prompt eval count:    3684 token(s)\nprompt eval duration: 12.963530257s\neval rate: 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Summary(text)
		if err != nil {
			if !reflect.DeepEqual(s, measurement.Sample{}) {
				t.Fatalf("%+v with error %v", s, err)
			}
			return
		}
		rate, ok := s.PromptEvalRate()
		if !ok || !(rate > 0) || math.IsInf(rate, 0) {
			t.Fatalf("rate %v of %+v", rate, s)
		}
		if min(s.EvalCount, s.PromptEvalCount) < 0 || min(s.EvalDuration, s.LoadDuration, s.TotalDuration) < 0 {
			t.Fatalf("negative figure in %+v", s)
		}
		again, err := Summary([]byte(format(s)))
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}
