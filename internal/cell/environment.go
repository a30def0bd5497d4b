package cell

import "maps"

// words are the values of variables for the words that a config has.
var words = map[string]string{"on": "1", "off": "0"}

// Environment returns the variables that set the settings of a server's process, and the server's binary, empty
// where the settings do not name one. What is left to the server has none. Fixed are settings that have
// one value in a sweep, by their names; those of s override them.
func (s Settings) Environment(fixed map[string]string) (env map[string]string, binary string) {
	all := maps.Clone(fixed)
	if all == nil {
		all = make(map[string]string)
	}
	for name, value := range s.All() {
		all[name] = value
	}
	env = make(map[string]string)
	for name, value := range all {
		known, _ := SettingOf(name)
		switch {
		case name == Ollama:
			binary = value
		case known.Env != "" && value != Auto:
			if word, ok := words[value]; ok && known.Env != known.Name {
				value = word
			}
			env[known.Env] = value
		}
	}
	return env, binary
}
