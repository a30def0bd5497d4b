package parse

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
)

// SettingNames lists the variables of a server's environment that move its rates, as the server
// names them in its log. Those that only say which of several GPUs it shall use are not among them:
// the devices themselves tell.
var SettingNames = []string{
	"OLLAMA_FLASH_ATTENTION",
	"OLLAMA_KV_CACHE_TYPE",
	"OLLAMA_NUM_PARALLEL",
	"OLLAMA_SCHED_SPREAD",
	"OLLAMA_GPU_OVERHEAD",
	"OLLAMA_LLM_LIBRARY",
	"OLLAMA_NEW_ENGINE",
	"OLLAMA_MULTIUSER_CACHE",
	"OLLAMA_VULKAN",
	"OLLAMA_IGPU_ENABLE",
	"OLLAMA_INTEL_GPU",
	"HSA_OVERRIDE_GFX_VERSION",
}

// LlamaArg begins the names of llama-server's own settings, which move rates too.
const LlamaArg = "LLAMA_ARG_"

// serverConfig stands in the line with which a server's log begins, shortened here:
//
//	msg="server config" env="map[CUDA_VISIBLE_DEVICES: LLAMA_ARG_FIT: OLLAMA_FLASH_ATTENTION:false OLLAMA_KV_CACHE_TYPE: OLLAMA_NUM_PARALLEL:1 OLLAMA_ORIGINS:[http://localhost https://localhost] no_proxy:]"
var (
	serverConfig  = []byte(`msg="server config"`)
	serverSetting = regexp.MustCompile(`[\[ ]([A-Z][A-Z0-9_]*):([^ \]"]*)`)
)

// ServerSettings returns the settings of the server's environment that move its rates (SettingNames,
// and what begins with LlamaArg), as its log tells them of its newest start; one that is unset is
// empty. They are nil where the log does not tell. The error is the reader's.
func ServerSettings(log io.Reader) (settings map[string]string, err error) {
	err = eachLine(log, func(line []byte) {
		if !bytes.Contains(line, serverConfig) {
			return
		}
		settings = make(map[string]string)
		for _, found := range serverSetting.FindAllStringSubmatch(Plain(line), -1) {
			if name := found[1]; slices.Contains(SettingNames, name) || strings.HasPrefix(name, LlamaArg) {
				settings[name] = found[2]
			}
		}
	})
	return settings, err
}
