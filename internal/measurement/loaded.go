package measurement

import (
	"slices"
	"strconv"
)

// Effective has the effective settings of a load, from the server's log. Zero means
// unknown.
type Effective struct {
	NumCtx   int `json:"num_ctx,omitempty"`   // tokens of one sequence
	NumBatch int `json:"num_batch,omitempty"` // most tokens of one forward pass
	Parallel int `json:"parallel,omitempty"`  // sequences

	// The other load options and settings of the server. Nil and empty mean unknown.

	NumGPU          *int   `json:"num_gpu,omitempty"` // layers on GPUs; see Memory.Layers
	MainGPU         *int   `json:"main_gpu,omitempty"`
	NumThread       int    `json:"num_thread,omitempty"` // threads that evaluate a prompt
	UseMmap         *bool  `json:"use_mmap,omitempty"`
	DraftNumPredict *int   `json:"draft_num_predict,omitempty"` // 0 where no draft model is used
	FlashAttention  string `json:"flash_attention,omitempty"`   // on or off; auto where the log does not show which
	KVCacheType     string `json:"kv_cache_type,omitempty"`     // such as q8_0
}

// Value returns the effective value of a load option or a setting of the server, by its name in a config,
// and false where it is unknown.
func (e Effective) Value(name string) (value string, ok bool) {
	switch name {
	case "num_gpu":
		return text(e.NumGPU, strconv.Itoa)
	case "main_gpu":
		return text(e.MainGPU, strconv.Itoa)
	case "num_thread":
		return strconv.Itoa(e.NumThread), e.NumThread > 0
	case "use_mmap":
		return text(e.UseMmap, strconv.FormatBool)
	case "draft_num_predict":
		return text(e.DraftNumPredict, strconv.Itoa)
	case "flash_attention":
		return e.FlashAttention, e.FlashAttention != ""
	case "kv_cache_type":
		return e.KVCacheType, e.KVCacheType != ""
	case "num_parallel":
		return strconv.Itoa(e.Parallel), e.Parallel > 0
	}
	return "", false
}

func text[T any](value *T, format func(T) string) (string, bool) {
	if value == nil {
		return "", false
	}
	return format(*value), true
}

// Only returns num_ctx, num_batch and the number of sequences, and of the other settings those with these
// names.
func (e Effective) Only(names []string) Effective {
	only := Effective{NumCtx: e.NumCtx, NumBatch: e.NumBatch, Parallel: e.Parallel}
	has := func(name string) bool { return slices.Contains(names, name) }
	if has("num_gpu") {
		only.NumGPU = e.NumGPU
	}
	if has("main_gpu") {
		only.MainGPU = e.MainGPU
	}
	if has("num_thread") {
		only.NumThread = e.NumThread
	}
	if has("use_mmap") {
		only.UseMmap = e.UseMmap
	}
	if has("draft_num_predict") {
		only.DraftNumPredict = e.DraftNumPredict
	}
	if has("flash_attention") {
		only.FlashAttention = e.FlashAttention
	}
	if has("kv_cache_type") {
		only.KVCacheType = e.KVCacheType
	}
	return only
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
	// Environment is the environment of the server's newest start, from its log; nil if unknown. A
	// variable that the log does not list is not in it.
	Environment map[string]string
	Others      []string // other models in the server's memory
}
