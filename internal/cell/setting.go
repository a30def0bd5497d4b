package cell

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Auto is the value of a setting that is left to the server: the sweep does not set it.
const Auto = "auto"

// Setting is a setting besides num_ctx and num_batch that moves the rate: an option of each request
// that reloads the model, or a setting of the server's process.
type Setting struct {
	Name string
	// Env is the variable of the server's environment that sets it, empty for an option of requests
	// and for the server's binary.
	Env string
	// Server means that another value takes another process of the server.
	Server bool

	parse func(text string) (string, error)
	// needs reports whether the first value needs at least the memory of the second, another one. It
	// is nil where that is not known.
	needs func(value, than string) bool
}

// Ollama is the name of the setting that is the server's binary.
const Ollama = "ollama"

// settings are the known settings, in the order in which keys name them.
var settings = []Setting{
	{Name: "num_gpu", parse: number(0), needs: more},
	{Name: "main_gpu", parse: number(0)},
	{Name: "num_thread", parse: number(1)},
	{Name: "use_mmap", parse: oneOf("true", "false")},
	{Name: "draft_num_predict", parse: number(0)},

	{Name: Ollama, Server: true, parse: command},
	{Name: "flash_attention", Server: true, Env: "OLLAMA_FLASH_ATTENTION", parse: oneOf("on", "off")},
	{Name: "kv_cache_type", Server: true, Env: "OLLAMA_KV_CACHE_TYPE", parse: oneOf(cacheTypes...), needs: largerCache},
	{Name: "num_parallel", Server: true, Env: "OLLAMA_NUM_PARALLEL", parse: number(1), needs: more},
}

// cacheTypes are the types of the KV cache that Ollama documents, the smallest first.
var cacheTypes = []string{"q4_0", "q8_0", "f16"}

// Options returns the names of the load options.
func Options() []string { return namesOf(false) }

// ServerSettings returns the names of a server's settings, environment variables excluded.
func ServerSettings() []string { return namesOf(true) }

func namesOf(server bool) (names []string) {
	for _, s := range settings {
		if s.Server == server {
			names = append(names, s.Name)
		}
	}
	return names
}

// variable matches the name of an environment variable.
var variable = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// IsVariable reports whether a name is that of an environment variable.
func IsVariable(name string) bool { return variable.MatchString(name) }

// SettingOf returns the setting of a name; for that of an environment variable, the variable.
func SettingOf(name string) (Setting, bool) {
	if i := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == name }); i >= 0 {
		return settings[i], true
	}
	if !IsVariable(name) {
		return Setting{}, false
	}
	return Setting{Name: name, Env: name, Server: true, parse: anyText}, true
}

// reserved are variables that a config can't set, each with the reason.
var reserved = map[string]string{
	"OLLAMA_FLASH_ATTENTION":   "write flash_attention",
	"OLLAMA_KV_CACHE_TYPE":     "write kv_cache_type",
	"OLLAMA_NUM_PARALLEL":      "write num_parallel",
	"OLLAMA_CONTEXT_LENGTH":    "the sweep sets num_ctx in each request",
	"OLLAMA_HOST":              "the sweep chooses the address of its server",
	"OLLAMA_MODELS":            "set it in the environment of the sweep",
	"OLLAMA_NOPRUNE":           "the sweep sets it, so that no model is deleted",
	"OLLAMA_KEEP_ALIVE":        "the sweep sets it in each request",
	"OLLAMA_DEBUG":             "the sweep sets it, since it reads the log",
	"OLLAMA_MAX_LOADED_MODELS": "the sweep loads one model at a time",
	"HOME":                     "set it in the environment of the sweep",
	"PATH":                     "set it in the environment of the sweep",
}

// Parse returns the value of a setting as keys name it, or an error that says what to write. [Auto] is
// a value of every setting but the binary.
func (s Setting) Parse(text string) (string, error) {
	if why, ok := reserved[s.Name]; ok {
		return "", fmt.Errorf("%s can't be set here: %s", s.Name, why)
	}
	if text == Auto && s.Name != Ollama {
		return Auto, nil
	}
	return s.parse(text)
}

func number(least int) func(string) (string, error) {
	return func(text string) (string, error) {
		v, err := strconv.Atoi(text)
		switch {
		case err != nil:
			return "", fmt.Errorf("expected a whole number or auto, got %q", text)
		case v < least && v < 0:
			return "", fmt.Errorf("%d is below the minimum %d: to leave it to the server write auto", v, least)
		case v < least:
			return "", fmt.Errorf("%d is below the minimum %d", v, least)
		case v > Largest:
			return "", fmt.Errorf("%d is above the maximum %d", v, Largest)
		}
		return strconv.Itoa(v), nil
	}
}

func oneOf(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		if !slices.Contains(words, text) {
			return "", fmt.Errorf("unknown value %q: write %s or auto", text, strings.Join(words, ", "))
		}
		return text, nil
	}
}

func command(text string) (string, error) {
	if text == "" {
		return "", errors.New("name the file of an ollama command")
	}
	return text, nil
}

func anyText(text string) (string, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%q has a control character", text)
	}
	return text, nil
}

// more orders counts by the memory that they take. What [Auto] takes is not known.
func more(value, than string) bool {
	a, errA := strconv.Atoi(value)
	b, errB := strconv.Atoi(than)
	return errA == nil && errB == nil && a >= b
}

func largerCache(value, than string) bool {
	a, b := slices.Index(cacheTypes, value), slices.Index(cacheTypes, than)
	return b >= 0 && a >= b
}
