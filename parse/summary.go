package parse

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// figure matches one line of the summary. It is anchored at the start of the line,
// since "eval count:" is also the end of "prompt eval count:".
var figure = regexp.MustCompile(`^(total duration|load duration|prompt eval count|prompt eval cached|prompt eval duration|eval count|eval duration): +(.*)$`)

// Summary parses the summary that `ollama run --verbose` prints on standard error
// after an answer, among spinners and terminal codes:
//
//	total duration:       13.235672388s
//	load duration:        258.838991ms
//	prompt eval count:    3684 token(s)
//	prompt eval cached:   25 token(s)
//	prompt eval duration: 12.963530257s
//	prompt eval rate:     284.18 tokens/s
//	eval count:           2 token(s)
//	eval duration:        11.827633ms
//	eval rate:            169.10 tokens/s
//
// The line of cached tokens is printed from 0.33.3 on. Ollama omits lines whose
// figure is zero. The rates are not parsed: they follow from the counts and
// durations, which are exact. If there are two summaries, the last one counts.
//
// The error is a *measurement.Failure. If there is an error message, it has the class of that,
// else NoFigures, with the invalid line or the end of the text. Line numbers are
// those of the output of Plain.
func Summary(stderr []byte) (measurement.Sample, error) {
	text := Plain(stderr)
	var s measurement.Sample
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		match := figure.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		if match[1] == "total duration" {
			s = measurement.Sample{}
		}
		if err := setFigure(&s, match[1], match[2]); err != nil {
			return measurement.Sample{}, &measurement.Failure{Class: measurement.NoFigures, Detail: fmt.Sprintf("line %d: %q: %v", number, line, err)}
		}
	}
	if _, ok := s.PromptEvalRate(); ok {
		return s, s.Check()
	}
	if words := ErrorText(stderr); words != "" {
		return measurement.Sample{}, &measurement.Failure{Class: Classify(words), Detail: Message(words)}
	}
	return measurement.Sample{}, &measurement.Failure{Class: measurement.NoFigures, Detail: fmt.Sprintf("no prompt eval count and duration in the summary: %q", lastBytes(text, 200))}
}

func setFigure(s *measurement.Sample, label, value string) (err error) {
	switch label {
	case "total duration":
		s.TotalDuration, err = duration(value)
	case "load duration":
		s.LoadDuration, err = duration(value)
	case "prompt eval count":
		s.PromptEvalCount, err = tokens(value)
	case "prompt eval cached":
		var cached int
		cached, err = tokens(value)
		s.PromptCached = &cached
	case "prompt eval duration":
		s.PromptEvalDuration, err = duration(value)
	case "eval count":
		s.EvalCount, err = tokens(value)
	case "eval duration":
		s.EvalDuration, err = duration(value)
	}
	return err
}

func duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err == nil && d < 0 {
		err = fmt.Errorf("a negative duration")
	}
	return d, err
}

// tokens parses "3684 token(s)".
func tokens(value string) (int, error) {
	count, ok := strings.CutSuffix(value, " token(s)")
	if !ok {
		return 0, fmt.Errorf("not of the form `N token(s)`")
	}
	n, err := strconv.Atoi(count)
	if err == nil && n < 0 {
		err = fmt.Errorf("a negative count")
	}
	return n, err
}

// ErrorText returns the command's standard error from its first line `Error: …` to
// the end, without that prefix, and without terminal codes; empty if there is none. A
// runner's message can have several lines, some of which may begin with `Error: ` too:
//
//	Error: 500 Internal Server Error: llama runner process has terminated: cudaMalloc failed: out of memory
//	ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 838447104
func ErrorText(stderr []byte) string {
	_, words, _ := strings.Cut("\n"+Plain(stderr), "\nError: ")
	return strings.TrimSpace(words)
}

// lastBytes returns at most the last n bytes of s, without a partial character at the
// start.
func lastBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[len(s)-n:], "")
}
