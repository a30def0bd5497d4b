package cell

import "slices"

// SettingAxis is the values of a setting besides num_ctx and num_batch, in the order in which they are
// measured.
type SettingAxis struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Server reports whether another value takes another process of the server.
func (a SettingAxis) Server() bool {
	known, _ := SettingOf(a.Name)
	return known.Server
}

// Labels returns the values for people, without control characters.
func (a SettingAxis) Labels() []string {
	labels := make([]string, len(a.Values))
	for i, v := range a.Values {
		labels[i] = printable(v)
	}
	return labels
}

// SortAxes puts axes into the order in which keys name them.
func SortAxes(axes []SettingAxis) {
	slices.SortFunc(axes, func(a, b SettingAxis) int { return compareNames(a.Name, b.Name) })
}

// InOrder reports whether keys name axis a before b.
func InOrder(a, b SettingAxis) bool { return compareNames(a.Name, b.Name) < 0 }

// HasAxes reports whether the settings have a value on each of the axes, in their order, and on no others.
func (s Settings) HasAxes(axes []SettingAxis) bool {
	return s.match(axes, func(SettingAxis, string) bool { return true })
}

// match is HasAxes for values that the axes accept.
func (s Settings) match(axes []SettingAxis, accepts func(a SettingAxis, value string) bool) bool {
	i := 0
	for name, value := range s.All() {
		if i >= len(axes) || axes[i].Name != name || !accepts(axes[i], value) {
			return false
		}
		i++
	}
	return i == len(axes)
}

// Combinations returns the combinations of the values of axes, the last axis fastest; without axes the one
// that is empty.
func Combinations(axes []SettingAxis) []Settings {
	all := []Settings{""}
	for _, a := range axes {
		var longer []Settings
		for _, s := range all {
			for _, v := range a.Values {
				longer = append(longer, NewSettings(append(s.values(), Value{a.Name, v})...))
			}
		}
		all = longer
	}
	return all
}

// SettingAxes returns the axes besides num_ctx and num_batch of cells, with their values in the order of the
// cells.
func SettingAxes(cells []Key) []SettingAxis {
	var axes []SettingAxis
	for _, s := range AllSettings(cells) {
		for name, value := range s.All() {
			i := slices.IndexFunc(axes, func(a SettingAxis) bool { return a.Name == name })
			if i < 0 {
				i, axes = len(axes), append(axes, SettingAxis{Name: name})
			}
			if !slices.Contains(axes[i].Values, value) {
				axes[i].Values = append(axes[i].Values, value)
			}
		}
	}
	return axes
}

// Union returns the axes with the values of both, those of a first.
func Union(a, b []SettingAxis) []SettingAxis {
	var all []SettingAxis
	for _, axis := range a {
		values := slices.Clone(axis.Values)
		for _, other := range b {
			for _, v := range other.Values {
				if other.Name == axis.Name && !slices.Contains(values, v) {
					values = append(values, v)
				}
			}
		}
		all = append(all, SettingAxis{axis.Name, values})
	}
	return all
}
