package ollamarun

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// leastDepth is the smallest depth at which durations show whether the server keeps a prompt, in tokens.
const leastDepth = measurement.LeastProbed / 4

// pause is how long a busy machine may keep a server from computing. A prompt that takes less may have
// been kept although a pass took as long.
const pause = 100 * time.Millisecond

// checkKept returns an *Unprobeable if the kept prompt, sent again, was evaluated again.
func (p *prober) checkKept(again measurement.Sample) error {
	depth, took := p.first.PromptEvalCount, p.first.PromptEvalDuration
	work := p.first.TotalDuration - p.first.LoadDuration - p.first.EvalDuration
	switch {
	case again.PromptEvalCount != depth:
		return &measurement.Unprobeable{Reason: fmt.Sprintf("the server counts %d tokens of a prompt, and %d when it is sent again", depth, again.PromptEvalCount)}
	case took < work/2 && work > time.Second:
		return &measurement.Unprobeable{Reason: fmt.Sprintf("the server does not time a whole prompt: it reports %v of the %v that it worked on %d tokens", took, work, depth)}
	case again.PromptCached != nil && again.Evaluated() > 1:
		return &measurement.Unprobeable{Reason: fmt.Sprintf("of a prompt of %d tokens that was sent again, the server evaluated %d: the model can't continue a part of a prompt, as with sliding windows or recurrent layers, or the server keeps no prompts", depth, again.Evaluated())}
	case again.PromptCached == nil && depth < leastDepth:
		return &measurement.Unprobeable{Reason: fmt.Sprintf("the server does not report what it evaluates, and after %d tokens durations can't show it", depth), Temporary: true}
	case again.PromptCached == nil && again.PromptEvalDuration > took/2:
		return &measurement.Unprobeable{Reason: fmt.Sprintf("a prompt took %v, and %v when it was sent again: the server keeps no prompts, or the model can't continue one", took, again.PromptEvalDuration)}
	}
	return nil
}

// checkPass returns an *Unprobeable if a pass has more tokens than its size.
func checkPass(p pass) error {
	added := p.PromptEvalCount - p.depth
	switch {
	case added < 1 || added > p.size:
		return &measurement.Unprobeable{Reason: fmt.Sprintf("at most %d tokens, added to a prompt of %d, made it one of %d", p.size, p.depth, p.PromptEvalCount)}
	case p.PromptCached != nil && p.Evaluated() > added:
		return &measurement.Unprobeable{Reason: fmt.Sprintf("the server evaluated %d tokens of a prompt, of which only %d were new: the model can't continue a part of a prompt, as with sliding windows or recurrent layers, or the server keeps no prompts", p.Evaluated(), added)}
	}
	return nil
}

// checkDurations returns an *Unprobeable if the server does not report what it evaluates, and the
// durations have another explanation than passes of these sizes.
func (p *prober) checkDurations() error {
	durations := make(map[int][]time.Duration)
	for _, pass := range p.passes {
		if pass.PromptCached == nil {
			durations[pass.size] = append(durations[pass.size], pass.PromptEvalDuration)
		}
	}
	read := float64(p.first.PromptEvalDuration) / float64(p.first.PromptEvalCount) // for a token
	var one time.Duration                                                          // for a request that evaluates one token
	for _, again := range p.repeated {
		if one == 0 || again.PromptEvalDuration < one {
			one = again.PromptEvalDuration
		}
	}
	for _, size := range slices.Sorted(maps.Keys(durations)) {
		took, depth := middle(durations[size]), p.depthOf(size)
		added := min(size, p.tokens-depth)
		whole, alone := read*float64(depth+added), read*float64(added)
		switch {
		// Only where even passes that other programs have lengthened, or a reading of the kept prompt
		// that they have, leave no doubt.
		case 4*added <= depth && float64(took) > whole*3/4:
			return &measurement.Unprobeable{Reason: fmt.Sprintf("%d tokens after a prompt of %d took %v, about as long as all of them: the server keeps no prompts, or the model can't continue one", added, depth, took), Temporary: whole < float64(pause)}
		case alone > 8*float64(one) && 2*took < 3*one:
			return &measurement.Unprobeable{Reason: fmt.Sprintf("%d tokens after a prompt of %d took %v, about as long as one: the server does not evaluate them", added, depth, took)}
		}
	}
	return nil
}

// requestCost returns what a request costs besides its passes: what the evaluation of the kept prompt's
// last token takes longer than the generation of a token, or what the shortest pass does if that is
// less. It compares the least of each, since other programs only lengthen them. It is nil if no tokens
// were generated.
func (p *prober) requestCost() *time.Duration {
	var evaluated, generated []time.Duration
	for _, again := range p.repeated {
		if again.EvalCount > 1 && again.EvalDuration > 0 {
			evaluated = append(evaluated, again.PromptEvalDuration)
			generated = append(generated, again.EvalDuration/time.Duration(again.EvalCount-1))
		}
	}
	if len(generated) == 0 {
		return nil
	}
	for _, pass := range p.passes {
		evaluated = append(evaluated, pass.PromptEvalDuration)
	}
	cost := max(0, slices.Min(evaluated)-slices.Min(generated))
	return &cost
}

// middle returns the median, the lower one of two.
func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[(len(all)-1)/2]
}
