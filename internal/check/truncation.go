package check

import "github.com/ollama-sweep/ollama-sweep/internal/measurement"

// truncation compares the server's count with the expected length of the prompt. A
// server silently cuts a prompt that is longer than num_ctx: to num_ctx or, in newer
// versions, to num_ctx/2 + 2.
func truncation(e *Evidence) []Finding {
	got, want := e.Sample.PromptEvalCount, e.PromptTokens
	const remedy = "use a shorter prompt, a larger num_ctx, or {fill: 0.9}, which is sized for each num_ctx"
	switch {
	case want == 0 && (got == e.NumCtx || got == e.NumCtx/2+2):
		return fail(measurement.PromptTruncated, "the server read %d tokens at num_ctx=%d, which is exactly what it keeps of a longer prompt; %s", got, e.NumCtx, remedy)
	case want == 0:
		return nil
	case want > e.NumCtx && got <= e.NumCtx:
		return fail(measurement.PromptTruncated, "the prompt has %d tokens and num_ctx=%d holds no more than %d of them: the server read %d; %s", want, e.NumCtx, e.NumCtx, got, remedy)
	case e.Estimated && got < want-tolerance(want), !e.Estimated && got < want:
		return fail(measurement.PromptTruncated, "the server read %d of the prompt's %d tokens at num_ctx=%d; %s", got, want, e.NumCtx, remedy)
	case !e.Estimated && got > want:
		return fail(measurement.NoFigures, "the server counts %d tokens in a prompt in which it counted %d before: figures of two prompts can't be compared; is another model served under the same name?", got, want)
	}
	return nil
}

// tolerance returns how much a count may lie below an estimated length of the
// prompt, in tokens.
func tolerance(tokens int) int { return 32 + tokens/20 }
