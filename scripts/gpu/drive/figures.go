package main

// figures are the parameters of a run: the model's shape, prompts, cells and repeats.
type figures struct {
	shape []string // flags of the model's generator

	probes struct {
		numCtx       int
		batches      []int // ascending; the last one is the num_batch of the probing load
		fewer        []int // of them, for all but the last combination of weights and flash attention
		leastPieces  int   // the smallest one with which a whole prompt is read in pieces
		depth, whole int   // tokens
		repeats      int
	}
	noise struct {
		numCtx, tokens int
		batches        []int // the first one with all series, the others with one
		warmup         int   // tokens
		repeats        int
		pause          int // seconds
	}
	// In failures, GPU memory is held until only this many MiB are free: with part, a part of
	// the model fits; with none, next to nothing.
	failures struct {
		numCtx, numBatch, tokens int
		part, none               int
	}
}

// large has the figures for the model with 1.5 billion weights.
var large = func() (f figures) {
	f.probes.numCtx, f.probes.depth, f.probes.whole, f.probes.repeats = 16_384, 3500, 7000, 3
	f.probes.batches, f.probes.fewer, f.probes.leastPieces = []int{32, 128, 256, 512, 1024, 2048, 4096}, []int{256, 1024, 4096}, 512
	f.noise.numCtx, f.noise.batches, f.noise.tokens, f.noise.warmup, f.noise.repeats, f.noise.pause = 16_384, []int{512, 2048, 4096}, 7000, 128, 20, 15
	f.failures.numCtx, f.failures.numBatch, f.failures.tokens, f.failures.part, f.failures.none = 131_072, 2048, 1000, 4096, 600
	return f
}()

// tiny has the figures for a rehearsal on a CPU.
var tiny = func() (f figures) {
	f.shape = []string{"-layers", "4", "-width", "256", "-inner", "704", "-heads", "4", "-kv-heads", "2", "-vocab", "2048",
		"-num-thread", "1"} // on a busy machine several threads would wait for each other
	f.probes.numCtx, f.probes.depth, f.probes.whole, f.probes.repeats = 2048, 350, 700, 2
	f.probes.batches, f.probes.fewer, f.probes.leastPieces = []int{32, 64, 128, 256, 512}, []int{64, 512}, 64
	f.noise.numCtx, f.noise.batches, f.noise.tokens, f.noise.warmup, f.noise.repeats, f.noise.pause = 2048, []int{128, 512}, 700, 64, 20, 3
	f.failures.numCtx, f.failures.numBatch, f.failures.tokens, f.failures.part, f.failures.none = 4096, 256, 300, 4096, 600
	return f
}()
