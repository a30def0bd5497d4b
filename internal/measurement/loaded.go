package measurement

// Effective has the effective settings of a load, from the server's log. Zero means
// unknown.
type Effective struct {
	NumCtx   int `json:"num_ctx,omitempty"`   // tokens of one sequence
	NumBatch int `json:"num_batch,omitempty"` // most tokens of one forward pass
	Parallel int `json:"parallel,omitempty"`  // sequences
}

// Loaded describes a model that the server has just loaded for a cell. Sizes are in
// bytes, ContextLength in tokens; zero means unknown. The server reports the context
// length since 0.10, and effective settings and memory only in its log.
type Loaded struct {
	// Warmup has the figures of the short prompt that ended the load. Its
	// LoadDuration is that of the load, its rate that of a cold runner.
	Warmup        Sample
	ContextLength int
	Size          int64
	SizeVRAM      int64
	Effective     Effective // effective settings, from the server's log
	Memory        *Memory   // from the server's log, nil if unknown
	Attention     string    // from the server's log, such as "flash attention on, KV cache q8_0"
	Others        []string  // other models in the server's memory
}
