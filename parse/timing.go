package parse

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Lines of llama-server, which tells each request's prompt in its log. The first of the parts that a
// prompt is read in begins behind what came out of the cache, and is named before its figures:
//
//	slot   operator(): id  0 | task 475 | cached n_tokens = 4, memory_seq_rm [4, end)
//	slot   operator(): id  0 | task 475 | cached n_tokens = 516, memory_seq_rm [516, end)
//	slot print_timing: id  0 | task 475 | prompt eval time =     160.55 ms /  1461 tokens (    0.11 ms per token,  9100.03 tokens per second)
var (
	promptPart   = regexp.MustCompile(`\| task (-?\d+) \| .*\[(\d+), end\)`)
	promptTiming = regexp.MustCompile(`\| task (-?\d+) \| prompt eval time = +([\d.]+) ms / +(\d+) tokens`)
)

// llamaServer matches the line with which the load of a server begins that tells prompts.
var llamaServer = regexp.MustCompile(`msg="starting llama-server"`)

// TellsPrompts reports whether a part of a server's log has the beginning of a load by llama-server,
// which tells what it evaluates of each prompt.
func TellsPrompts(text []byte) bool { return llamaServer.Match(unwrapLog(text)) }

// timingStep is half of the last digit of a time in the log.
const timingStep = 5 * time.Microsecond

// PromptTiming returns how many tokens of a prompt came out of the cache, and how many were
// evaluated, by a part of a server's log. The prompt is the newest one whose evaluation took that
// long; false where there is none.
func PromptTiming(text []byte, took time.Duration) (cached, evaluated int, ok bool) {
	begun := make(map[string]int) // by task
	for line := range strings.Lines(string(unwrapLog(text))) {
		if m := promptPart.FindStringSubmatch(line); m != nil {
			if from, err := strconv.Atoi(m[2]); err == nil {
				if _, later := begun[m[1]]; !later {
					begun[m[1]] = from
				}
			}
			continue
		}
		m := promptTiming.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		from, known := begun[m[1]]
		delete(begun, m[1])
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
