package parse

import (
	"cmp"
	"regexp"
	"strings"
)

// The lines that ServerLog parses also have a load's attention settings:
//
//	cmd="/usr/bin/ollama runner --model … --ctx-size 1024 --batch-size 8 --flash-attn --kv-cache-type q8_0 …"
//	cmd="/usr/lib/ollama/llama-server --model … -c 8192 -np 1 --cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on -b 512 …"
//	msg=load request="{Operation:commit … BatchSize:512 FlashAttention:Enabled KvSize:4096 KvCacheType:q8_0 …}"
//
// In the first form, up to 0.11.4, settings that are off are omitted.
var (
	flashAttention = regexp.MustCompile(` (?:--flash-attn(?:[ =](on|off|auto))?\b|FlashAttention:(\w+))`)
	cacheType      = regexp.MustCompile(` (?:(?:--kv-cache-type|--cache-type-k)[ =]|KvCacheType:)([\w]*)`)
)

// attentionWord maps the words of different versions to on, off and auto.
func attentionWord(word string) string {
	switch word = strings.ToLower(word); word {
	case "enabled", "true", "1", "":
		return "on"
	case "disabled", "false", "0":
		return "off"
	}
	return word
}

// attentionOf returns the attention settings in the line of a load, such as on and q8_0.
func attentionOf(line string) (flash, cache string) {
	flash = "off"
	if m := flashAttention.FindStringSubmatch(line); m != nil {
		flash = attentionWord(cmp.Or(m[1], m[2]))
	}
	if m := cacheType.FindStringSubmatch(line); m != nil {
		cache = strings.ToLower(m[1])
	}
	return flash, cmp.Or(cache, "f16")
}

// ServerLogAttention returns the attention settings of the newest load in a part of a server's
// log, such as "flash attention on, KV cache q8_0", empty if the log does not have them.
func ServerLogAttention(text []byte) string { return newestLoad(text).attention }
