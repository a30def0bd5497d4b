package parse

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Lines of llama-server, which logs the prompt of each request. A prompt is evaluated in parts. The
// first part begins after the tokens that came out of the cache; the figures follow at the end:
//
//	slot   operator(): id  0 | task 475 | cached n_tokens = 4, memory_seq_rm [4, end)
//	slot   operator(): id  0 | task 475 | cached n_tokens = 516, memory_seq_rm [516, end)
//	slot print_timing: id  0 | task 475 | prompt eval time =     160.55 ms /  1461 tokens (    0.11 ms per token,  9100.03 tokens per second)
var (
	promptPart   = regexp.MustCompile(`\| task (-?\d+) \| .*\[(\d+), end\)`)
	promptTiming = regexp.MustCompile(`\| task (-?\d+) \| prompt eval time = +([\d.]+) ms / +(\d+) tokens`)
)

// llamaServer matches the line with which a load by llama-server begins.
var llamaServer = regexp.MustCompile(`msg="starting llama-server"`)

// LogsPrompts reports whether a part of a server's log has the start of a load by llama-server, which
// logs what it evaluates of each prompt.
func LogsPrompts(text []byte) bool { return llamaServer.Match(unwrapLog(text)) }

// timingStep is half of the last digit of a time in the log.
const timingStep = 5 * time.Microsecond

// PromptTiming returns how many tokens of a prompt came out of the cache and how many were evaluated,
// according to a part of a server's log. The prompt is the newest one whose evaluation took the given
// time; it returns false if there is none.
func PromptTiming(text []byte, took time.Duration) (cached, evaluated int, ok bool) {
	first := make(map[string]int) // first evaluated token, by task
	for line := range strings.Lines(string(unwrapLog(text))) {
		if m := promptPart.FindStringSubmatch(line); m != nil {
			if from, err := strconv.Atoi(m[2]); err == nil {
				if _, later := first[m[1]]; !later {
					first[m[1]] = from
				}
			}
			continue
		}
		m := promptTiming.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		from, known := first[m[1]]
		delete(first, m[1])
		ms, msErr := strconv.ParseFloat(m[2], 64)
		n, err := strconv.Atoi(m[3])
		if msErr != nil || err != nil || !known || n == 0 {
			continue
		}
		if off := took - time.Duration(ms*float64(time.Millisecond)); off.Abs() <= timingStep+time.Microsecond {
			cached, evaluated, ok = from, n, true
		}
	}
	return cached, evaluated, ok
}
