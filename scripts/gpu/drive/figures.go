package main

// figures are the sizes of a run.
type figures struct {
	shape []string // flags of the model's generator

	probes struct {
		numCtx       int
		batches      []int // ascending; the last one is what the probing load has
		depth, whole int   // tokens
		repeats      int
	}
	noise struct {
		numCtx, numBatch, tokens int
		warmup                   int // tokens
		repeats                  int
		pause                    int // seconds
	}
	// failures holds GPU memory until so many MiB are free: so that a part of the model
	// fits, and next to nothing.
	failures struct {
		numCtx, numBatch, tokens int
		part, none               int
	}
}

// large is for the model of 1.5 billion weights.
var large = func() (f figures) {
	f.probes.numCtx, f.probes.depth, f.probes.whole, f.probes.repeats = 16_384, 3500, 7000, 3
	f.probes.batches = []int{32, 64, 128, 256, 512, 1024, 2048, 4096}
	f.noise.numCtx, f.noise.numBatch, f.noise.tokens, f.noise.warmup, f.noise.repeats, f.noise.pause = 16_384, 512, 7000, 128, 20, 15
	f.failures.numCtx, f.failures.numBatch, f.failures.tokens, f.failures.part, f.failures.none = 131_072, 2048, 1000, 4096, 600
	return f
}()

// tiny is for a rehearsal on a CPU.
var tiny = func() (f figures) {
	f.shape = []string{"-layers", "4", "-width", "256", "-inner", "704", "-heads", "4", "-kv-heads", "2", "-vocab", "2048",
		"-num-thread", "1"} // several wait for each other on a busy machine
	f.probes.numCtx, f.probes.depth, f.probes.whole, f.probes.repeats = 2048, 350, 700, 2
	f.probes.batches = []int{32, 64, 128, 256, 512}
	f.noise.numCtx, f.noise.numBatch, f.noise.tokens, f.noise.warmup, f.noise.repeats, f.noise.pause = 2048, 128, 700, 64, 20, 3
	f.failures.numCtx, f.failures.numBatch, f.failures.tokens, f.failures.part, f.failures.none = 4096, 256, 300, 4096, 600
	return f
}()
