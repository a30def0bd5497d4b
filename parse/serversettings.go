package parse

import (
	"bytes"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// SettingNames lists the environment variables of a server that can change its rates, as named in
// its log. Variables that only select GPUs are not included: Devices returns the result.
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

// LlamaArg is the prefix of llama-server's environment variables, which can change rates too.
const LlamaArg = "LLAMA_ARG_"

// serverConfig is in the line with which a server's log begins, shortened here:
//
//	msg="server config" env="map[CUDA_VISIBLE_DEVICES: LLAMA_ARG_FIT: OLLAMA_FLASH_ATTENTION:false OLLAMA_KV_CACHE_TYPE: OLLAMA_NUM_PARALLEL:1 OLLAMA_ORIGINS:[http://localhost https://localhost] no_proxy:]"
var (
	serverConfig  = []byte(`msg="server config"`)
	serverSetting = regexp.MustCompile(`[\[ ]([A-Z][A-Z0-9_]*):([^ \]"]*)`)
)

// Environment returns the environment variables that the server's log of the newest start lists. A variable
// that is not set is empty, one with spaces ends at the first. The map is nil if the log has none. The error is the reader's.
func Environment(log io.Reader) (variables map[string]string, err error) {
	err = eachLine(log, func(line []byte) {
		if !bytes.Contains(line, serverConfig) {
			return
		}
		variables = make(map[string]string)
		for _, found := range serverSetting.FindAllStringSubmatch(Plain(line), -1) {
			if !strings.HasPrefix(found[2], "[") { // a list
				variables[found[1]] = found[2]
			}
		}
	})
	return variables, err
}

// ServerSettings returns those of a server's environment variables that can change its rates
// (SettingNames, and those with the prefix LlamaArg), nil for a nil map.
func ServerSettings(variables map[string]string) map[string]string {
	settings := maps.Clone(variables)
	maps.DeleteFunc(settings, func(name, _ string) bool {
		return !slices.Contains(SettingNames, name) && !strings.HasPrefix(name, LlamaArg)
	})
	return settings
}

// refusedSetting matches the line of a variable that the server can't read, which it writes several times:
//
//	level=WARN source=config.go:223 msg="invalid environment variable, using default" key=OLLAMA_NUM_PARALLEL value=two default=1
var refusedSetting = regexp.MustCompile(`invalid environment variable, using default"? key=(\S+) value=("(?:[^"\\]|\\.)*"|\S*)`)

// RefusedSettings returns the environment variables that a server can't read, and so ignores, in the form
// NAME=VALUE and in the order of its log.
func RefusedSettings(log []byte) (settings []string) {
	for _, found := range refusedSetting.FindAllStringSubmatch(Plain(log), -1) {
		if text := found[1] + "=" + found[2]; !slices.Contains(settings, text) {
			settings = append(settings, text)
		}
	}
	return settings
}
