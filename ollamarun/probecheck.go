package ollamarun

import (
	"fmt"
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

const (
	// leastDepth is the smallest depth at which durations show whether the server keeps a prompt, in
	// tokens.
	leastDepth = 128
	// fastest is how many times the rate of the kept prompt a pass can have.
	fastest = 4
)

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

// checkPass returns an *Unprobeable if the size of a pass is not what it should be.
func (p *prober) checkPass(size int, pass measurement.Sample) error {
	added := pass.PromptEvalCount - p.first.PromptEvalCount
	switch {
	case added < 1 || added > size:
		return &measurement.Unprobeable{Reason: fmt.Sprintf("a text of %d tokens, added to a prompt of %d, made it one of %d", size, p.first.PromptEvalCount, pass.PromptEvalCount)}
	case pass.PromptCached != nil && pass.Evaluated() > size:
		return &measurement.Unprobeable{Reason: fmt.Sprintf("the server evaluated %d tokens, of which only %d were new: the model can't continue a part of a prompt, as with sliding windows or recurrent layers, or the server keeps no prompts", pass.Evaluated(), size)}
	}
	return nil
}

// checkDurations returns an *Unprobeable if the server does not report what it evaluates, and the
// durations have another explanation than passes of these sizes.
func (p *prober) checkDurations(sizes []int) error {
	depth, took := p.first.PromptEvalCount, p.first.PromptEvalDuration
	for _, size := range sizes {
		var all []time.Duration
		for _, pass := range p.passes {
			if pass.size == size && pass.PromptCached == nil {
				all = append(all, pass.PromptEvalDuration)
			}
		}
		if len(all) == 0 {
			continue
		}
		whole := took * time.Duration(depth+size) / time.Duration(depth)
		switch pass := middle(all); {
		case size <= depth && pass > whole*3/4:
			return &measurement.Unprobeable{Reason: fmt.Sprintf("%d tokens after a prompt of %d took %v, about as long as all of them: the server keeps no prompts, or the model can't continue one", size, depth, pass)}
		case pass*fastest*time.Duration(depth) < took*time.Duration(size):
			return &measurement.Unprobeable{Reason: fmt.Sprintf("%d tokens after a prompt of %d took %v, far less than they can: the server does not evaluate them", size, depth, pass)}
		}
	}
	return nil
}

// requestCost returns what a request costs besides its passes: what the evaluation of the kept prompt's
// last token takes longer than the generation of a token. It is nil if no tokens were generated.
func (p *prober) requestCost() *time.Duration {
	var costs []time.Duration
	for _, again := range p.repeated[1:] {
		if again.EvalCount > 1 {
			costs = append(costs, again.PromptEvalDuration-again.EvalDuration/time.Duration(again.EvalCount-1))
		}
	}
	if len(costs) == 0 {
		return nil
	}
	cost := max(0, middle(costs))
	return &cost
}

// middle returns the median, the lower one of two.
func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[(len(all)-1)/2]
}
