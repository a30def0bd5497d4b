package config

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Settings are the values of settings besides num_ctx and num_batch: of options of each request, or of
// settings of the server's process. A setting with several values is an axis.
type Settings struct {
	axes   []cell.SettingAxis // as written: not checked, and in any order
	server bool               // settings of the server, not options
}

const (
	optionsForm = "{num_gpu: [auto, 40], num_thread: 8}: a value or a list for each load option"
	serverForm  = "{flash_attention: [on, off], kv_cache_type: q8_0, env: {NAME: value}}: a value or a list for each setting"
)

func (s *Settings) form() string {
	if s.server {
		return serverForm
	}
	return optionsForm
}

// UnmarshalYAML reads `{num_gpu: [auto, 40, 30], num_thread: 8}`. The server's settings have a mapping
// of environment variables in env.
func (s *Settings) UnmarshalYAML(n *yaml.Node) error {
	s.axes = nil
	return s.add(n, s.server)
}

// add adds the settings of a mapping.
func (s *Settings) add(n *yaml.Node, env bool) error {
	if n.Kind != yaml.MappingNode {
		return strictyaml.Expected(s.form(), n)
	}
	lines := make(map[string]int)
	for i := 0; i < len(n.Content); i += 2 {
		name, line, value := n.Content[i].Value, n.Content[i].Line, n.Content[i+1]
		if lines[name] > 0 {
			return &strictyaml.LineError{Line: line, Key: name, Err: fmt.Errorf("already set in line %d", lines[name])}
		}
		lines[name] = line
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if env && name == "env" {
			if err := s.add(value, false); err != nil {
				return strictyaml.Placed(value.Line, name, err)
			}
			continue
		}
		values, err := settingValues(value)
		if inEnv := s.server && !env; err == nil && inEnv && !cell.IsVariable(name) {
			err = errors.New("expected the name of a variable of the environment, in capitals")
		}
		if err == nil {
			err = s.set(name, values)
		}
		if err != nil {
			return strictyaml.Placed(value.Line, name, err)
		}
	}
	return nil
}

// settingValues reads a value or a list of values as texts.
func settingValues(n *yaml.Node) ([]string, error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	var values []string
	for _, item := range items {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		if item.Kind != yaml.ScalarNode || item.ShortTag() == "!!null" {
			return nil, strictyaml.Placed(item.Line, fmt.Sprintf("value %d", len(values)+1), errors.New("expected a number, a word, true or false"))
		}
		values = append(values, item.Value)
	}
	return values, nil
}

// set sets the values of one setting, in place of those that it has, after checking them.
func (s *Settings) set(name string, texts []string) error {
	setting, ok := cell.SettingOf(name)
	switch {
	case !ok || setting.Server != s.server:
		return s.unknown(name, setting, ok)
	case len(texts) == 0:
		return errors.New("has no value: give one, or leave it out")
	}
	axis := cell.SettingAxis{Name: name}
	for _, text := range texts {
		value, err := setting.Parse(text)
		if err != nil {
			return err
		}
		if !slices.Contains(axis.Values, value) {
			axis.Values = append(axis.Values, value)
		}
	}
	s.axes = slices.DeleteFunc(slices.Clone(s.axes), func(a cell.SettingAxis) bool { return a.Name == name })
	s.axes = append(s.axes, axis)
	cell.SortAxes(s.axes)
	return nil
}

// ownKeys are settings that have a key of their own, and otherOptions the options of requests that a model
// is not loaded anew for.
var (
	ownKeys      = []string{"num_ctx", "num_batch", "num_predict"}
	otherOptions = []string{"num_keep", "seed", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty", "stop", "penalize_newline", "mirostat", "mirostat_tau", "mirostat_eta"}
)

// unknown returns the error of a name that is no setting here.
func (s *Settings) unknown(name string, setting cell.Setting, known bool) error {
	switch {
	case slices.Contains(ownKeys, name):
		return fmt.Errorf("%s has a key of its own: write it outside of %s", name, map[bool]string{false: "options", true: "server"}[s.server])
	case slices.Contains(otherOptions, name):
		return fmt.Errorf("%s does not load the model anew: it is about the generated tokens, which are not measured", name)
	case known && setting.Server && setting.Env == name:
		return fmt.Errorf("%s is a variable of the server's environment: write server: {env: {%s: …}}, or -server %s=…", name, name, name)
	case known && setting.Server:
		return fmt.Errorf("%s is a setting of the server: write server: {%s: …}, or -server %s=…", name, name, name)
	case known:
		return fmt.Errorf("%s is an option of requests: write options: {%s: …}, or -option %s=…", name, name, name)
	case s.server:
		return fmt.Errorf("unknown setting %q: write one of %s, or a variable of the environment, in capitals", name, strings.Join(cell.ServerSettings(), ", "))
	}
	return fmt.Errorf("unknown option %q: write one of %s", name, strings.Join(cell.Options(), ", "))
}

// parseFlag reads "num_gpu=auto,40,30" of a flag.
func (s *Settings) parseFlag(text string) (name string, values []string, err error) {
	name, list, ok := strings.Cut(text, "=")
	if !ok {
		return "", nil, fmt.Errorf("expected NAME=VALUE or NAME=VALUE,VALUE, got %q", text)
	}
	values = strings.Split(list, ",")
	checked := Settings{server: s.server}
	return name, values, checked.set(name, values)
}

// relativeTo makes the files of the server's binaries relative to the current folder, where they are
// relative to the config's. A name without a folder is a command on PATH.
func (s *Settings) relativeTo(folder string) {
	for _, a := range s.axes {
		for i, v := range a.Values {
			if a.Name == cell.Ollama && strings.ContainsRune(v, filepath.Separator) && !filepath.IsAbs(v) {
				a.Values[i] = filepath.Join(folder, v)
			}
		}
	}
}

// Axes returns the settings with several values, in the order in which keys name them.
func (c *Config) axes() []cell.SettingAxis {
	var axes []cell.SettingAxis
	for _, a := range slices.Concat(c.Options.axes, c.Server.axes) {
		if len(a.Values) > 1 {
			axes = append(axes, a)
		}
	}
	return axes
}

// Fixed returns the settings that have one value, those that are left to the server excluded; nil for none.
func (c *Config) Fixed() map[string]string {
	var fixed map[string]string
	for _, a := range slices.Concat(c.Options.axes, c.Server.axes) {
		if len(a.Values) != 1 || a.Values[0] == cell.Auto {
			continue
		}
		if fixed == nil {
			fixed = make(map[string]string)
		}
		fixed[a.Name] = a.Values[0]
	}
	return fixed
}

// setBinary makes a single binary of the server's settings the one of the key ollama.
func (c *Config) setBinary() {
	i := slices.IndexFunc(c.Server.axes, func(a cell.SettingAxis) bool { return a.Name == cell.Ollama })
	if i >= 0 && len(c.Server.axes[i].Values) == 1 && c.Ollama == "" {
		c.Ollama = c.Server.axes[i].Values[0]
		c.Server.axes = slices.Delete(slices.Clone(c.Server.axes), i, i+1)
	}
}

// NameBinaries gives the server's binaries, where they are an axis, the short names that keys have: their
// versions, which the function returns. Several of the same version have a word of their path besides,
// "0.31.1+opt", so that a name does not depend on the order in the config.
func (c *Config) NameBinaries(version func(file string) (string, error)) error {
	i := slices.IndexFunc(c.Server.axes, func(a cell.SettingAxis) bool { return a.Name == cell.Ollama })
	if i < 0 {
		return nil
	}
	files := c.Server.axes[i].Values
	names, same := make(map[string]string), make(map[string][]string)
	for _, file := range files {
		v, err := version(file)
		if err != nil {
			return fmt.Errorf("server: ollama: %s: %w", file, err)
		}
		names[file], same[v] = v, append(same[v], file)
	}
	for _, files := range same {
		if len(files) > 1 {
			for file, word := range distinctWords(files) {
				names[file] += "+" + word
			}
		}
	}
	c.Binaries = make(map[string]string)
	c.Server.axes = slices.Clone(c.Server.axes)
	c.Server.axes[i].Values = nil
	for _, file := range files {
		c.Binaries[names[file]] = file
		c.Server.axes[i].Values = append(c.Server.axes[i].Values, names[file])
	}
	return nil
}

// distinctWords returns a word for each file: the first part of the paths in which all differ, or a number in
// the order of the paths.
func distinctWords(files []string) map[string]string {
	parts, shortest := make(map[string][]string), math.MaxInt
	for _, file := range files {
		parts[file] = strings.Split(strings.TrimPrefix(file, "/"), "/")
		shortest = min(shortest, len(parts[file]))
	}
	words := make(map[string]string)
	for at := range shortest {
		used := make(map[string]bool)
		for _, file := range files {
			words[file] = strings.Map(inName, parts[file][at])
			used[words[file]] = true
		}
		if len(used) == len(files) && !used[""] {
			return words
		}
	}
	for n, file := range slices.Sorted(slices.Values(files)) {
		words[file] = strconv.Itoa(n + 1)
	}
	return words
}

// inName returns a character as names in keys have it.
func inName(r rune) rune {
	if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || r == '.' {
		return r
	}
	return '_'
}

func (c *Config) checkServer() error {
	switch {
	case len(c.Server.axes) > 0 && c.Engine == EngineHost:
		return errors.New("settings of the server need a server that the sweep starts, with -engine own or -engine embedded: leave them out, or set them where your server is started")
	case c.Ollama != "" && slices.ContainsFunc(c.Server.axes, func(a cell.SettingAxis) bool { return a.Name == cell.Ollama }):
		return errors.New("the binary is named twice, by the key ollama and by ollama of the server's settings: leave one out")
	}
	return nil
}

// mostCombinations is the largest number of combinations of the axes besides num_ctx and num_batch that a
// search compares with each other: more would take gigabytes of memory.
const mostCombinations = 1000

func (c *Config) checkSearch() error {
	n := 1
	for _, a := range c.axes() {
		if n *= len(a.Values); c.Searches() && n > mostCombinations {
			return fmt.Errorf("strategy %s compares at most %d combinations of the axes besides num_ctx and num_batch: use fewer values of %s", c.Strategy, mostCombinations, a.Name)
		}
	}
	return nil
}

// settingsKey is a key of settings, with a flag that can be repeated.
func settingsKey(name, flagName, usage string, field func(*Config) *Settings) key {
	return key{name: name, field: func(c *Config) any { return field(c) }, flags: []keyFlag{{name: flagName, usage: usage, parse: func(text string) (func(*Config, *Overrides) error, error) {
		c := defaults()
		setting, values, err := field(&c).parseFlag(text)
		return func(c *Config, _ *Overrides) error { return field(c).set(setting, values) }, err
	}}}}
}
