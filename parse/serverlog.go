package parse

import (
	"regexp"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// start matches the line with which the load of a model begins:
//
//	msg="starting llama server" cmd="/usr/bin/ollama runner --model … --ctx-size 1024 --batch-size 8 --threads 1 --parallel 1 --port 34927"
//	msg="starting runner" cmd="/usr/bin/ollama runner --ollama-engine --model … --port 39109"
//	msg="starting llama-server" cmd="/usr/lib/ollama/llama-server --model … -c 8192 -np 1 … -b 512 -ub 512 …"
//	msg="starting mlx runner subprocess" model=qwen3:4b port=40001
//
// The first form is that of versions up to 0.11.4, the second up to 0.24, the
// third from 0.30 on, the fourth that of the MLX runner, which has neither setting.
// A runner that is started without --model only searches for GPUs.
var start = regexp.MustCompile(`msg="starting (?:llama[ -]server|runner|mlx runner subprocess)"?\s.*`)

// commit matches the line with the settings of a load whose command does not have
// them. Operations other than commit only try what fits into memory.
//
//	msg=load request="{Operation:commit LoraPath:[] Parallel:1 BatchSize:512 FlashAttention:false KvSize:4096 …}"
var commit = regexp.MustCompile(`msg=load request="?\{Operation:commit .*`)

// Figures of such lines, in their different spellings.
var (
	ctxSize   = regexp.MustCompile(` (?:(?:--ctx-size|-c)[ =]|KvSize:)(\d+)`)
	batchSize = regexp.MustCompile(` (?:(?:--batch-size|-b)[ =]|BatchSize:)(\d+)`)
	passSize  = regexp.MustCompile(` (?:--ubatch-size|-ub)[ =](\d+)`)
	parallel  = regexp.MustCompile(` (?:(?:--parallel|-np)[ =]|Parallel:)(\d+)`)
)

// ubatchLine matches llama.cpp's line with the size of a forward pass after a load.
// Its n_batch is of no use: llama.cpp raises it to at least 64 and multiplies it by
// the number of sequences, but the runner still passes fewer tokens.
//
//	llama_context: n_ubatch      = 512
//	llama_new_context_with_model: n_ubatch   = 512
var ubatchLine = regexp.MustCompile(`(?:llama_context|llama_new_context_with_model): n_ubatch +=[ ]*(\d+)`)

// started matches the line with which a load ends:
//
//	msg="llama runner started in 0.25 seconds"
//	msg="llama-server started in 1.50 seconds"
var started = regexp.MustCompile(`(?:llama runner|llama-server) started in \d`)

// ServerLog returns the effective settings of the newest load in a part of a server's
// log, and false if there is none.
func ServerLog(text []byte) (measurement.Effective, bool) {
	l := newestLoad(text)
	return l.settings, l.settings != measurement.Effective{}
}

// ServerLogEnded reports whether a part of a server's log has the line that ends the
// newest load. Before that, the settings of ServerLog can be incomplete.
func ServerLogEnded(text []byte) bool { return newestLoad(text).ended }

// load is one load in a log.
type load struct {
	settings  measurement.Effective
	attention string
	ended     bool

	// Which of the more exact lines were found: ubatchLine, and those of refine.
	passes, mapped, offloaded, attended, cached bool
}

func newestLoad(text []byte) load {
	var l load
	var before beforeLoad
	for line := range strings.Lines(Plain(unwrapLog(text))) {
		before.read(line)
		if begin := start.FindString(line); begin != "" {
			if settings := settingsOf(begin); settings != (measurement.Effective{}) {
				l = load{settings: settings}
				l.begin(begin, before)
			} else if loadsModel(begin) {
				l = load{}
			}
			continue
		}
		if request := commit.FindString(line); request != "" {
			if l = (load{settings: settingsOf(request)}); l.settings != (measurement.Effective{}) {
				l.begin(request, before)
			}
			continue
		}
		if l.settings != (measurement.Effective{}) {
			// Only the first one counts: a later one can be that of a draft model's context.
			if pass := number(ubatchLine, line); pass > 0 && !l.passes {
				l.settings.NumBatch, l.passes = minKnown(l.settings.NumBatch, pass), true
			}
			l.refine(line)
		}
		l.ended = l.ended || started.MatchString(line)
	}
	return l
}

// loadsModel reports whether a runner was started to load a model, and not to search for GPUs.
func loadsModel(start string) bool {
	return strings.Contains(start, " --model ") || strings.Contains(start, "mlx runner")
}

func settingsOf(line string) measurement.Effective {
	f := measurement.Effective{
		NumCtx:   number(ctxSize, line),
		NumBatch: minKnown(number(batchSize, line), number(passSize, line)),
		Parallel: number(parallel, line),
	}
	if f.Parallel > 1 {
		f.NumCtx /= f.Parallel // the log has the total of all sequences
	}
	return f
}

// number returns the last figure that the pattern finds, 0 if there is none or it is
// too large for an int.
func number(pattern *regexp.Regexp, line string) int {
	if n := wholeNumber(last(pattern, line)); n != nil {
		return *n
	}
	return 0
}

// minKnown returns the smaller of two figures, ignoring those that are 0, which means unknown.
func minKnown(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
