// Package cell defines the combinations of settings that a sweep measures: keys over the axes num_ctx,
// num_batch and other settings, ordered grids of them, and the shards into which a plan is split for several
// machines. It knows nothing about servers and results.
package cell

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Key is the combination of settings of one cell. It is comparable, so that it can be a map key.
type Key struct {
	Ctx      int      // tokens of context allocated
	Batch    int      // tokens per forward pass
	Settings Settings // the values of the other axes
}

// String returns the cell's name in subtests and benchmark lines.
func (c Key) String() string {
	name := fmt.Sprintf("ctx=%d/batch=%d", c.Ctx, c.Batch)
	if c.Settings != "" {
		name += "/" + string(c.Settings)
	}
	return name
}

// Pattern returns the cell's name as a pattern of go test's -run, which is a regular expression.
func (c Key) Pattern() string { return regexp.QuoteMeta(c.String()) }

// Text returns the cell's settings for people.
func (c Key) Text() string {
	text := fmt.Sprintf("num_ctx=%d, num_batch=%d", c.Ctx, c.Batch)
	if c.Settings != "" {
		text += ", " + c.Settings.Text()
	}
	return text
}

// WithBatch returns the cell with another num_batch, 0 to leave it to the server.
func (c Key) WithBatch(batch int) Key {
	c.Batch = batch
	return c
}

// Column returns the cell without its num_batch: the key that all cells have which differ in nothing else.
func (c Key) Column() Key { return c.WithBatch(0) }

// MayEqual reports whether a server may take both cells for the same load, and not load the model anew for
// the second: their num_ctx and num_batch are equal, or one of them leaves num_batch to the server. Other
// options don't tell: the same value can come from the model, the server ignores options that it does not
// know, and it keeps a model that was loaded with any num_gpu where the next request leaves that to it.
func (c Key) MayEqual(other Key) bool {
	return c.Ctx == other.Ctx && (c.Batch == other.Batch || c.Batch == 0 || other.Batch == 0) && c.Settings.Server() == other.Settings.Server()
}

// NeedsMemoryOf reports whether the cell is known to need at least the memory of another.
func (c Key) NeedsMemoryOf(other Key) bool {
	return c.Ctx >= other.Ctx && c.Batch >= other.Batch && c.Settings.needs(other.Settings)
}

// Compare orders cells by num_ctx, then num_batch, then the other settings.
func (c Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(c.Ctx, other.Ctx), cmp.Compare(c.Batch, other.Batch), c.Settings.Compare(other.Settings))
}

// MarshalJSON writes an object with a field for each setting.
func (c Key) MarshalJSON() ([]byte, error) {
	b := fmt.Appendf(nil, `{"num_ctx":%d,"num_batch":%d`, c.Ctx, c.Batch)
	for name, value := range c.Settings.All() {
		text, err := Value{name, value}.MarshalJSON()
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(b, `,%q:%s`, name, text)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads the object of MarshalJSON, its fields in any order.
func (c *Key) UnmarshalJSON(data []byte) error {
	*c = Key{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return err
	}
	var values []Value
	for name, v := range fields {
		switch v := v.(type) {
		case string, json.Number, bool:
			values = append(values, Value{name, fmt.Sprint(v)})
		default:
			return fmt.Errorf("%s is not a number, a text, true or false", name)
		}
	}
	for i, number := range []*int{&c.Ctx, &c.Batch} {
		name := []string{"num_ctx", "num_batch"}[i]
		at := slices.IndexFunc(values, func(v Value) bool { return v.Name == name })
		if at < 0 {
			return errors.New("no " + name)
		}
		if err := json.Unmarshal([]byte(values[at].Value), number); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		values = slices.Delete(values, at, at+1)
	}
	c.Settings = NewSettings(values...)
	return nil
}

// Axes returns every num_ctx and every num_batch of the cells, ascending.
func Axes(cells []Key) (ctx, batch []int) {
	for _, c := range cells {
		ctx, batch = append(ctx, c.Ctx), append(batch, c.Batch)
	}
	return Distinct(ctx), Distinct(batch)
}

// AllSettings returns the distinct settings of the cells besides num_ctx and num_batch, in their order.
func AllSettings(cells []Key) []Settings {
	var all []Settings
	seen := make(map[Settings]bool)
	for _, c := range cells {
		if !seen[c.Settings] {
			seen[c.Settings] = true
			all = append(all, c.Settings)
		}
	}
	return all
}

// Distinct sorts the values in place and returns them without duplicates.
func Distinct(values []int) []int {
	slices.Sort(values)
	return slices.Compact(values)
}

// Valid reports whether the cell can be measured. Servers cap num_batch at num_ctx,
// so a cell with a larger num_batch would be a duplicate of another.
func (c Key) Valid() bool { return c.Batch <= c.Ctx }
