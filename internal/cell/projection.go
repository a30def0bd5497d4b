package cell

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The names of the axes that every sweep has.
const (
	NumCtx   = "num_ctx"
	NumBatch = "num_batch"
)

// Axes returns all axes of the grid with their values as texts: num_ctx, num_batch, then the others.
func (g Grid) Axes() []SettingAxis {
	return append([]SettingAxis{{NumCtx, texts(g.Ctx)}, {NumBatch, texts(g.Batch)}}, g.Settings...)
}

func texts(values []int) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = strconv.Itoa(v)
	}
	return all
}

// Value returns the cell's value on an axis, and false where the cell has none of that name.
func (c Key) Value(axis string) (string, bool) {
	switch axis {
	case NumCtx:
		return strconv.Itoa(c.Ctx), true
	case NumBatch:
		return strconv.Itoa(c.Batch), true
	}
	return c.Settings.Value(axis)
}

// With returns the cell with another value on an axis. A num_ctx or num_batch must be a number.
func (c Key) With(axis, value string) Key {
	switch axis {
	case NumCtx:
		c.Ctx, _ = strconv.Atoi(value)
	case NumBatch:
		c.Batch, _ = strconv.Atoi(value)
	default:
		values := slices.DeleteFunc(c.Settings.values(), func(v Value) bool { return v.Name == axis })
		c.Settings = NewSettings(append(values, Value{axis, value})...)
	}
	return c
}

// Without returns the settings without one of them.
func (s Settings) Without(name string) Settings {
	return NewSettings(slices.DeleteFunc(s.values(), func(v Value) bool { return v.Name == name })...)
}

// Projection shows a grid as tables of two axes: X to the right and Y down or up, with a table for each
// combination of the values of the other axes.
type Projection struct {
	X, Y   SettingAxis
	Rest   []SettingAxis // the other axes
	Tables []Table       // in order, the last axis of Rest fastest; at least one
}

// Table is a combination of the values of the axes that are neither X nor Y.
type Table struct {
	Values []Value // one for each axis of Rest
	key    Key     // with the values, without those of X and Y
}

// Project returns the projection on two axes, or an error that lists the axes. Without names they are
// num_ctx and num_batch; a setting with several values takes the place of one that has a single value.
func (g Grid) Project(x, y string) (Projection, error) {
	axes := g.Axes()
	for _, name := range []string{x, y} {
		if name != "" && !slices.ContainsFunc(axes, func(a SettingAxis) bool { return a.Name == name }) {
			return Projection{}, fmt.Errorf("the sweep has no axis %q: choose one of %s", name, strings.Join(NamesOf(axes), ", "))
		}
	}
	if x != "" && x == y {
		return Projection{}, fmt.Errorf("%s can't run across and down: choose another of %s", x, strings.Join(NamesOf(axes), ", "))
	}
	free := slices.DeleteFunc(slices.Clone(axes), func(a SettingAxis) bool { return a.Name == x || a.Name == y })
	take := func(name, usual string) SettingAxis {
		if name != "" {
			return axes[slices.IndexFunc(axes, func(a SettingAxis) bool { return a.Name == name })]
		}
		at := max(0, slices.IndexFunc(free, func(a SettingAxis) bool { return a.Name == usual }))
		if other := slices.IndexFunc(free, func(a SettingAxis) bool { return len(a.Values) > 1 && a.Name != NumCtx && a.Name != NumBatch }); len(free[at].Values) == 1 && other >= 0 {
			at = other
		}
		axis := free[at]
		free = slices.Delete(free, at, at+1)
		return axis
	}
	var p Projection
	p.X = take(x, NumCtx)
	p.Y = take(y, NumBatch)
	p.Rest, p.Tables = free, tables(free)
	return p, nil
}

// NamesOf returns the names of axes.
func NamesOf(axes []SettingAxis) []string {
	names := make([]string, len(axes))
	for i, a := range axes {
		names[i] = a.Name
	}
	return names
}

func tables(rest []SettingAxis) []Table {
	all := []Table{{}}
	for _, a := range rest {
		var longer []Table
		for _, t := range all {
			for _, v := range a.Values {
				longer = append(longer, Table{append(slices.Clone(t.Values), Value{a.Name, v}), t.key.With(a.Name, v)})
			}
		}
		all = longer
	}
	return all
}

// Key returns the cell of a column and a row of a table.
func (p *Projection) Key(t Table, column, row int) Key {
	return t.key.With(p.X.Name, p.X.Values[column]).With(p.Y.Name, p.Y.Values[row])
}

// Text returns the settings of a table for people, without those that have a single value in all tables;
// empty where that leaves none.
func (p *Projection) Text(t Table) string {
	var several []Value
	for i, v := range t.Values {
		if len(p.Rest[i].Values) > 1 {
			several = append(several, v)
		}
	}
	return text(several)
}
