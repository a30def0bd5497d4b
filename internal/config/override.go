package config

import (
	"flag"
	"os"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
)

// Overrides holds the flags that were set, each of which overrides a key of the config. The zero
// value overrides nothing.
type Overrides struct {
	edits []edit
}

// edit is a flag that was set.
type edit struct {
	flag, text string
	key        key
	apply      func(*Config, *Overrides) error
}

// Register adds the flags to the set. What they hold once the set is parsed
// goes to [Read].
func (o *Overrides) Register(flags *flag.FlagSet) {
	for _, k := range table() {
		for _, f := range k.flags {
			define := flags.Func
			if f.noValue {
				define = flags.BoolFunc
			}
			define(f.name, f.usage, func(text string) error {
				apply, err := f.parse(text)
				o.edits = append(o.edits, edit{f.name, text, k, apply})
				return err
			})
		}
	}
}

// flagShard reads "2/4", or for "auto" the shard in the environment.
func flagShard(s string) (cell.Shard, error) {
	if s == shardAuto {
		return ShardOf(os.Getenv)
	}
	return cell.ParseShard(s)
}

// count returns how many flags were set for a key.
func (o *Overrides) count(key string) int {
	given := make(map[string]bool)
	for _, e := range o.edits {
		if e.key.name == key {
			given[e.flag] = true
		}
	}
	return len(given)
}

// outNamesShard reports whether -out is the folder of the one shard in -shard. An out folder in
// the config, or with -shard auto, is shared by all shards, and gets a suffix.
func (o *Overrides) outNamesShard() bool {
	auto := slices.ContainsFunc(o.edits, func(e edit) bool { return e.key.name == "shard" && e.text == shardAuto })
	return o.flags("out") != "" && !auto
}

// flags lists the flags that were set for a key, empty for none.
func (o *Overrides) flags(key string) string {
	var given []string
	for _, e := range o.edits {
		if name := "-" + e.flag; e.key.name == key && !slices.Contains(given, name) {
			given = append(given, name)
		}
	}
	return strings.Join(given, " ")
}

// Command returns the config file and the flags that decide what is measured, quoted for a
// command line. It leaves out the flags that decide where, since another machine may need
// others, and how much of the grid. The flag -host can hold a password.
func (o *Overrides) Command(config string) string {
	words := []string{"-config", shell.FileArgument(config)}
	for _, e := range o.edits {
		if !e.key.machine {
			words = append(words, "-"+e.flag+"="+shell.Quoted(e.text))
		}
	}
	return strings.Join(words, " ")
}

func (o *Overrides) apply(c *Config) error {
	for _, e := range o.edits {
		if err := e.apply(c, o); err != nil {
			return err
		}
	}
	return nil
}
