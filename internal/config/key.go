package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// key is a key of the config.
type key struct {
	name   string
	field  func(*Config) any // pointer to the value, into which YAML is decoded
	path   func(*Config) *string
	flags  []keyFlag
	checks []func(*Config) error
	// machine means that the value may differ between the machines or runs of a sweep.
	machine bool
}

// keyFlag is a flag that sets the value of a key, or a part of it.
type keyFlag struct {
	name, usage string
	noValue     bool // the flag alone means true
	parse       func(text string) (set func(*Config, *Overrides) error, err error)
}

// newKey returns a key with the flag of its name, or without a flag where usage is empty.
func newKey[T any](name, usage string, field func(*Config) *T, parse func(string) (T, error)) key {
	k := key{name: name, field: func(c *Config) any { return field(c) }}
	if usage != "" {
		k.flags = []keyFlag{{name: strings.ReplaceAll(name, "_", "-"), usage: usage, parse: func(text string) (func(*Config, *Overrides) error, error) {
			v, err := parse(text)
			return func(c *Config, _ *Overrides) error { *field(c) = v; return nil }, err
		}}}
	}
	return k
}

// checkedBy adds a check of the value, which sees the whole config.
func (k key) checkedBy(check func(*Config) error) key {
	k.checks = append(slices.Clip(k.checks), check)
	return k
}

// relative says which part of the value is a file name, relative to the config's folder in YAML.
func (k key) relative(path func(*Config) *string) key {
	k.path = path
	return k
}

// ofMachine says that the value may differ between the machines or runs of a sweep, so that a
// checkpoint does not keep it.
func (k key) ofMachine() key {
	k.machine = true
	return k
}

// withoutValue says that the flag alone means true.
func (k key) withoutValue() key {
	k.flags = slices.Clone(k.flags)
	for i := range k.flags {
		k.flags[i].noValue = true
	}
	return k
}

func text(name, usage string, field func(*Config) *string) key {
	return newKey(name, usage, field, func(s string) (string, error) { return s, nil })
}

// file is the name of a file that can be read, if it is set.
func file(name, usage string, field func(*Config) *string) key {
	return text(name, usage, field).relative(field).checkedBy(func(c *Config) error { return readable(*field(c)) })
}

func choice(name, usage string, field func(*Config) *string, values ...string) key {
	return text(name, usage, field).checkedBy(func(c *Config) error {
		if v := *field(c); !slices.Contains(values, v) {
			return fmt.Errorf("unknown value %q: write %s", v, strings.Join(values, " or "))
		}
		return nil
	})
}

func number(name, usage string, field func(*Config) *int, minimum int) key {
	return newKey(name, usage, field, strictyaml.WholeNumber).checkedBy(func(c *Config) error {
		if v := *field(c); v < minimum {
			return fmt.Errorf("%d is below the minimum %d", v, minimum)
		}
		return nil
	})
}

func duration(name, usage string, field func(*Config) *time.Duration) key {
	return newKey(name, usage, field, strictyaml.Duration).checkedBy(func(c *Config) error { return positiveDuration(*field(c)) })
}

func boolean(name, usage string, field func(*Config) *bool) key {
	return newKey(name, usage, field, parseBool).withoutValue()
}

func parseBool(s string) (bool, error) {
	v, err := strconv.ParseBool(s)
	if err != nil {
		err = fmt.Errorf("expected true or false, got %q", s)
	}
	return v, err
}

// axis has a flag for each bound of a range, which begin with the prefix.
func axis(name, prefix string, field func(*Config) *cell.Axis) key {
	bound := func(suffix, usage string, part func(*cell.Axis) *int) keyFlag {
		flag := prefix + suffix
		return keyFlag{name: flag, usage: usage + " `" + name + "`", parse: func(text string) (func(*Config, *Overrides) error, error) {
			v, err := strictyaml.WholeNumber(text)
			return func(c *Config, o *Overrides) error {
				a := field(c)
				if len(a.List) > 0 && o.count(name) < 3 {
					return fmt.Errorf("-%s: %s is a list in the config: to use a range, give start, end and step together", flag, name)
				}
				a.List = nil
				*part(a) = v
				return nil
			}, err
		}}
	}
	k := key{name: name, field: func(c *Config) any { return field(c) }, flags: []keyFlag{
		bound("-start", "first", func(a *cell.Axis) *int { return &a.Start }),
		bound("-end", "last", func(a *cell.Axis) *int { return &a.End }),
		bound("-step", "step of", func(a *cell.Axis) *int { return &a.Step }),
	}}
	return k.checkedBy(func(c *Config) error { return field(c).Check() })
}

// Key is the documented part of a key of the config.
type Key struct {
	Name  string
	Flags []string // without their dash; empty where no flag sets the key
}

// Keys returns the keys of the config with their flags.
func Keys() (keys []Key) {
	for _, k := range table() {
		documented := Key{Name: k.name}
		for _, f := range k.flags {
			documented.Flags = append(documented.Flags, f.name)
		}
		keys = append(keys, documented)
	}
	return keys
}
