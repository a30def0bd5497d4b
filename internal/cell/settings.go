package cell

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Settings are the values of a cell on the axes besides num_ctx and num_batch, as they stand in the names
// of subtests: "num_gpu=40/flash_attention=on". It is empty where a sweep has no other axes.
type Settings string

// Value is a setting with its value.
type Value struct{ Name, Value string }

// NewSettings returns the settings in the order of [Setting]'s table, environment variables last by name.
func NewSettings(values ...Value) Settings {
	values = slices.Clone(values)
	slices.SortStableFunc(values, func(a, b Value) int { return compareNames(a.Name, b.Name) })
	var parts []string
	for _, v := range values {
		parts = append(parts, v.Name+"="+escaped(v.Value))
	}
	return Settings(strings.Join(parts, "/"))
}

// compareNames orders the names of settings.
func compareNames(a, b string) int {
	place := func(name string) int {
		if i := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == name }); i >= 0 {
			return i
		}
		return len(settings)
	}
	return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
}

// All returns the settings with their values, in order.
func (s Settings) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if s == "" {
			return
		}
		for part := range strings.SplitSeq(string(s), "/") {
			name, text, _ := strings.Cut(part, "=")
			value, err := url.PathUnescape(text)
			if err != nil {
				value = text
			}
			if !yield(name, value) {
				return
			}
		}
	}
}

// Value returns the value of a setting, and false where it is no axis.
func (s Settings) Value(name string) (string, bool) {
	for n, v := range s.All() {
		if n == name {
			return v, true
		}
	}
	return "", false
}

// Version returns the version of the server's binary where that is an axis, and otherwise the given one.
func (s Settings) Version(otherwise string) string {
	name, ok := s.Value(Ollama)
	if !ok {
		return otherwise
	}
	version, _, _ := strings.Cut(name, "+") // which tells binaries of one version apart
	return version
}

// With returns the settings with another value of one of them.
func (s Settings) With(name, value string) Settings {
	values := s.values()
	for i := range values {
		if values[i].Name == name {
			values[i].Value = value
		}
	}
	return NewSettings(values...)
}

func (s Settings) values() (values []Value) {
	for name, value := range s.All() {
		values = append(values, Value{name, value})
	}
	return values
}

// Server returns the settings of the server's process, for which another value takes a restart.
func (s Settings) Server() Settings { return s.only(true) }

// Options returns the options of requests.
func (s Settings) Options() Settings { return s.only(false) }

func (s Settings) only(server bool) Settings {
	return NewSettings(slices.DeleteFunc(s.values(), func(v Value) bool {
		known, _ := SettingOf(v.Name)
		return known.Server != server
	})...)
}

// Text returns the settings for people: "num_gpu=40, flash_attention=on". It has no control characters.
func (s Settings) Text() string { return text(s.values()) }

func text(values []Value) string {
	var parts []string
	for _, v := range values {
		parts = append(parts, v.Name+"="+v.Value)
	}
	return printable(strings.Join(parts, ", "))
}

// printable replaces control characters by spaces.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// Compare orders settings by their values in order, numbers by size.
func (s Settings) Compare(other Settings) int {
	if s == other {
		return 0
	}
	return slices.CompareFunc(s.values(), other.values(), func(a, b Value) int {
		return cmp.Or(compareNames(a.Name, b.Name), CompareValues(a.Value, b.Value))
	})
}

// CompareValues orders the values of a setting: numbers by size, after them texts.
func CompareValues(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	switch {
	case errX == nil && errY == nil:
		return cmp.Compare(x, y)
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return cmp.Compare(a, b)
}

// needs reports whether these settings are known to need at least the memory of others.
func (s Settings) needs(than Settings) bool {
	if s == than {
		return true
	}
	return slices.EqualFunc(s.values(), than.values(), func(a, b Value) bool {
		if a == b {
			return true
		}
		known, _ := SettingOf(a.Name)
		return a.Name == b.Name && known.needs != nil && known.needs(a.Value, b.Value)
	})
}

// escaped returns a value as it can stand in the name of a subtest and of a benchmark line: those split at
// slashes and spaces, and read digits after a last hyphen as a number of processors.
func escaped(value string) string {
	var b strings.Builder
	digits := len(strings.TrimRight(value, "0123456789"))
	for i := range len(value) {
		c := value[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._:,+-", c) >= 0
		if !plain || c == '-' && i+1 == digits && digits < len(value) {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// MarshalJSON writes the value alone: a number, true or false where it is one.
func (v Value) MarshalJSON() ([]byte, error) {
	if n, err := strconv.Atoi(v.Value); err == nil && strconv.Itoa(n) == v.Value || v.Value == "true" || v.Value == "false" {
		return []byte(v.Value), nil
	}
	return json.Marshal(v.Value)
}
