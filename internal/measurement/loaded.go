package measurement

// Effective holds the settings of a load as the server's log tells them. Zero is
// what it does not tell.
type Effective struct {
	NumCtx   int `json:"num_ctx,omitempty"`   // tokens of one sequence
	NumBatch int `json:"num_batch,omitempty"` // tokens that a forward pass takes at most
	Parallel int `json:"parallel,omitempty"`  // sequences
}

// Loaded is what the server says of a model that it has just brought into
// memory for a cell. Sizes are in bytes, ContextLength in tokens; zero means
// that the server did not say (it names the context length since 0.10, and the
// effective settings and the memory's parts only in its log).
type Loaded struct {
	// Warmup holds the figures of the short prompt that ended the load. Its
	// LoadDuration is the load's, its rate is that of a cold runner.
	Warmup        Sample
	ContextLength int
	Size          int64
	SizeVRAM      int64
	Effective     Effective // as the server's log says
	Memory        *Memory   // the same, nil where it does not
	Attention     string    // the same, such as "flash attention on, KV cache q8_0"
	Others        []string  // models of somebody else in the server's memory
}
