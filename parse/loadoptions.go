package parse

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// Load options in the line with which a load begins:
//
//	cmd="/usr/bin/ollama runner --model … --ctx-size 1024 --batch-size 64 --n-gpu-layers 40 --main-gpu 1 --threads 8 --no-mmap --parallel 1 …"
//	msg=load request="{Operation:commit … NumThreads:8 GPULayers:25[ID:GPU-620f Layers:25(0..24)] … MainGPU:0 UseMmap:true}"
//	cmd="/usr/lib/ollama/llama-server --model … --spec-type draft-mtp --spec-draft-n-max 4 --no-mmap … -ngl 40 -t 8 --split-mode none --main-gpu 0 …"
//	cmd="/usr/lib/ollama/llama-server --model … --load-mode none …"
//
// The last is of 0.33. A server without a GPU writes GPULayers:[].
var (
	gpuLayers = regexp.MustCompile(` (?:(?:--n-gpu-layers|--gpu-layers|-ngl)[ =]|GPULayers:)(\d+|\[\])`)
	mainGPU   = regexp.MustCompile(` (?:(?:--main-gpu|-mg)[ =]|MainGPU:)(\d+)`)
	threads   = regexp.MustCompile(` (?:(?:--threads|-t)[ =]|NumThreads:)(\d+)`)
	mmap      = regexp.MustCompile(` (?:(--no-mmap)\b|--load-mode[ =](\S+)|UseMmap:(\w+))`)
	draft     = regexp.MustCompile(` --spec-draft-n-max[ =](\d+)`)
)

// Lines of a load that are more exact than the one with which it begins:
//
//	cmn  common_param: system_info: n_threads = 9 (n_threads_batch = 9) / 2 | CPU : SSE3 = 1 | …
//	load_tensors: loading model tensors, this can take a while... (mmap = true, direct_io = false)
//	load_tensors: loading model tensors, this can take a while... (load_mode = none)
//	load_tensors:          CPU model buffer size =     1.88 MiB
//	llama_context: flash_attn    = enabled
//	llama_context: flash_attn    = 0
//	llama_context: Flash Attention was auto, set to enabled
//	resolve_fused_ops: Flash Attention enabled
//	resolve_fused_ops: Flash Attention not supported, set to disabled
//	llama_kv_cache: size =    0.53 MiB (  1024 cells,   2 layers,  1/1 seqs), K (q8_0):    0.27 MiB, V (q8_0):    0.27 MiB
//	llama_kv_cache_unified: KV self size  =    1.00 MiB, K (f16):    0.50 MiB, V (f16):    0.50 MiB
//
// The number of layers on GPUs is in the line of offloaded; see memorylog.go. llama.cpp writes that line
// only where it can use a GPU.
var (
	threadsUsed   = regexp.MustCompile(`system_info: n_threads = \d+ \(n_threads_batch = (\d+)\)`)
	mmapUsed      = regexp.MustCompile(`loading model tensors.*\((?:mmap|load_mode) = (\w+)`)
	weights       = regexp.MustCompile(`load_tensors: +\S+ +model buffer size`)
	attentionUsed = regexp.MustCompile(`(?:llama_context|llama_new_context_with_model): flash_attn +=[ ]*(\w+)`)
	attentionAuto = regexp.MustCompile(`Flash Attention (?:was auto, set to |not supported, set to )?(enabled|disabled)`)
	cacheUsed     = regexp.MustCompile(`(?:llama_kv_cache|llama_new_context_with_model|llama_kv_cache_init).*, K \((\w+)\):`)
)

// Lines before the one with which a load begins: an option that this version does not know, and a GPU that
// was chosen by main_gpu, after which the command has the number of that GPU among the chosen ones:
//
//	msg="invalid option provided" option=draft_num_predict
//	msg="selecting requested single GPU for llama-server model" requested_main_gpu=1 main_gpu=0 id=…
var (
	unknownDraft     = regexp.MustCompile(`msg="invalid option provided" option=draft_num_predict\b`)
	requestedMainGPU = regexp.MustCompile(`msg="selecting requested single GPU.* requested_main_gpu=(\d+)`)
)

// beforeLoad is what the lines before a load show of it.
type beforeLoad struct {
	mainGPU      *int
	unknownDraft bool
}

func (b *beforeLoad) read(line string) {
	if m := requestedMainGPU.FindStringSubmatch(line); m != nil {
		b.mainGPU = wholeNumber(m[1])
	}
	b.unknownDraft = b.unknownDraft || unknownDraft.MatchString(line)
}

// begin sets the options in the line with which the load begins.
func (l *load) begin(line string, before beforeLoad) {
	s := &l.settings
	flash, cache := attentionOf(line)
	l.attention = "flash attention " + flash + ", KV cache " + cache
	s.FlashAttention, s.KVCacheType = flash, cache
	s.NumThread = number(threads, line)
	s.MainGPU = before.mainGPU
	if s.MainGPU == nil {
		s.MainGPU = wholeNumber(last(mainGPU, line))
	}
	if text := last(gpuLayers, line); text != "" {
		s.NumGPU = wholeNumber(strings.Replace(text, "[]", "0", 1))
	}
	if m := mmap.FindStringSubmatch(line); m != nil {
		s.UseMmap = mapped(cmp.Or(m[2], m[3]))
	}
	if s.DraftNumPredict = wholeNumber(last(draft, line)); s.DraftNumPredict == nil && (strings.Contains(line, "starting llama-server") || before.unknownDraft) {
		s.DraftNumPredict = new(int)
	}
}

// refine corrects the options by a later line of the load. Of lines of contexts only the first count: a
// later one can be that of a draft model.
func (l *load) refine(line string) {
	s := &l.settings
	switch {
	case strings.Contains(line, "system_info:"):
		if n := number(threadsUsed, line); n > 0 {
			s.NumThread = n
		}
	case strings.Contains(line, "load_tensors:"):
		if m := mmapUsed.FindStringSubmatch(line); m != nil && !l.mapped {
			s.UseMmap, l.mapped = mapped(m[1]), true
		}
		if m := offloaded.FindStringSubmatch(line); m != nil && !l.offloaded {
			s.NumGPU, l.offloaded = wholeNumber(m[1]), true
		}
		if weights.MatchString(line) && !l.offloaded {
			s.NumGPU = new(int)
		}
	case offloaded.MatchString(line): // of Ollama's own engine
		s.NumGPU, l.offloaded = wholeNumber(last(offloaded, line)), true
	case strings.Contains(line, "flash_attn"):
		if m := attentionUsed.FindStringSubmatch(line); m != nil && !l.attended {
			s.FlashAttention, l.attended = attentionWord(m[1]), true
		}
	case strings.Contains(line, "Flash Attention"):
		if m := attentionAuto.FindStringSubmatch(line); m != nil && s.FlashAttention == "auto" {
			s.FlashAttention = attentionWord(m[1])
		}
	case strings.Contains(line, ", K ("):
		if m := cacheUsed.FindStringSubmatch(line); m != nil && !l.cached {
			s.KVCacheType, l.cached = m[1], true
		}
	}
}

// mapped reads the ways to load a model of different versions: true and false, or none, mmap and dio.
func mapped(word string) *bool {
	is := word == "true" || strings.HasPrefix(word, "mmap")
	return &is
}

// last returns the last text that the pattern's group finds, empty for none.
func last(pattern *regexp.Regexp, line string) string {
	all := pattern.FindAllStringSubmatch(line, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// wholeNumber returns the number of a text, nil where it has none or one that is too large.
func wholeNumber(text string) *int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil
	}
	return &n
}
