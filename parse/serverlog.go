package parse

import (
	"regexp"
	"strconv"
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
// The first is that of the versions up to 0.11.4, the second of those up to
// 0.24, the third from 0.30 on, the fourth of the MLX runner, which has neither
// setting. A runner that is started without --model only looks for GPUs.
var start = regexp.MustCompile(`msg="starting (?:llama[ -]server|runner|mlx runner subprocess)"?\s.*`)

// commit matches the line that tells the settings where the command does not.
// Other operations than commit only try what fits into memory.
//
//	msg=load request="{Operation:commit LoraPath:[] Parallel:1 BatchSize:512 FlashAttention:false KvSize:4096 …}"
var commit = regexp.MustCompile(`msg=load request="?\{Operation:commit .*`)

// settings match the figures of such lines, in their several spellings.
var (
	ctxSize   = regexp.MustCompile(` (?:(?:--ctx-size|-c)[ =]|KvSize:)(\d+)`)
	batchSize = regexp.MustCompile(` (?:(?:--batch-size|-b)[ =]|BatchSize:)(\d+)`)
	passSize  = regexp.MustCompile(` (?:--ubatch-size|-ub)[ =](\d+)`)
	parallel  = regexp.MustCompile(` (?:(?:--parallel|-np)[ =]|Parallel:)(\d+)`)
)

// physical matches what llama.cpp says of its own passes after a load. Its
// n_batch is no help: small ones are raised to 64, it is multiplied by the
// number of sequences, and the runner goes on to pass fewer tokens.
//
//	llama_context: n_ubatch      = 512
//	llama_new_context_with_model: n_ubatch   = 512
var physical = regexp.MustCompile(`(?:llama_context|llama_new_context_with_model): n_ubatch +=[ ]*(\d+)`)

// started matches the line with which a load ends:
//
//	msg="llama runner started in 0.25 seconds"
//	msg="llama-server started in 1.50 seconds"
var started = regexp.MustCompile(`(?:llama runner|llama-server) started in \d`)

// ServerLog reads the settings of the newest load in a part of a server's log,
// and returns false when it tells of none.
func ServerLog(text []byte) (measurement.Effective, bool) {
	l := newestLoad(text)
	return l.settings, l.settings != measurement.Effective{}
}

// ServerLogEnded reports whether the newest load in a part of a server's log is
// there up to the line that ends it. Before that ServerLog may know less than
// the server will tell.
func ServerLogEnded(text []byte) bool { return newestLoad(text).ended }

// load is what a log says of one load.
type load struct {
	settings  measurement.Effective
	attention string
	passes    bool // llama.cpp has said what it passes
	ended     bool
}

func newestLoad(text []byte) load {
	var l load
	for line := range strings.Lines(Plain(unwrapLog(text))) {
		if begin := start.FindString(line); begin != "" {
			if settings := settingsOf(begin); settings != (measurement.Effective{}) || loadsModel(begin) {
				l = load{settings: settings}
				if settings != (measurement.Effective{}) {
					l.attention = attentionOf(begin)
				}
			}
			continue
		}
		if request := commit.FindString(line); request != "" {
			l = load{settings: settingsOf(request), attention: attentionOf(request)}
			continue
		}
		// The first is of the model's own context: a draft model has another.
		if pass := number(physical, line); pass > 0 && !l.passes && l.settings != (measurement.Effective{}) {
			l.settings.NumBatch, l.passes = least(l.settings.NumBatch, pass), true
		}
		l.ended = l.ended || started.MatchString(line)
	}
	return l
}

// loadsModel tells a start that loads a model from one that looks for GPUs.
func loadsModel(start string) bool {
	return strings.Contains(start, " --model ") || strings.Contains(start, "mlx runner")
}

func settingsOf(line string) measurement.Effective {
	f := measurement.Effective{
		NumCtx:   number(ctxSize, line),
		NumBatch: least(number(batchSize, line), number(passSize, line)),
		Parallel: number(parallel, line),
	}
	if f.Parallel > 1 {
		f.NumCtx /= f.Parallel // the log has that of all sequences together
	}
	return f
}

// number returns the last figure that the pattern finds, 0 for none and for
// one that is no setting.
func number(pattern *regexp.Regexp, line string) int {
	all := pattern.FindAllStringSubmatch(line, -1)
	if len(all) == 0 {
		return 0
	}
	n, err := strconv.Atoi(all[len(all)-1][1])
	if err != nil {
		return 0
	}
	return n
}

// least returns the smaller of two figures of which each may be unknown.
func least(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
