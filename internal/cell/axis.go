package cell

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Axis is the values of one setting: a list, or a range whose end is included where a
// step lands on it.
type Axis struct {
	Start, End, Step int

	List []int // not empty: the values themselves
}

// axisForm is the syntax of an axis in a config.
const axisForm = "{start: N, end: N, step: N} or a list [N, N, …]"

// UnmarshalYAML reads `{start: 128, end: 2048, step: 128}`, `[128, 256, 512]`
// or `512`.
func (a *Axis) UnmarshalYAML(n *yaml.Node) (err error) {
	*a = Axis{}
	switch n.Kind {
	case yaml.ScalarNode:
		a.List = []int{0}
		if n.ShortTag() != "!!int" {
			return strictyaml.Expected(axisForm, n)
		}
		return strictyaml.Decode(n, &a.List[0])
	case yaml.SequenceNode:
		a.List, err = strictyaml.List(n)
		return err
	}
	return strictyaml.Mapping(n, map[string]any{"start": &a.Start, "end": &a.End, "step": &a.Step}, axisForm)
}

// Largest is the largest value that a server accepts: Ollama passes them on as 32-bit integers.
const Largest = math.MaxInt32

// Check returns an error about the first invalid value, as made by strictyaml.WrongPart.
func (a Axis) Check() error {
	for i, v := range a.List {
		switch part := fmt.Sprintf("[%d]", i); {
		case v > Largest:
			return strictyaml.WrongPart(part, "%d is above the maximum %d", v, Largest)
		case v < 1:
			return strictyaml.WrongPart(part, "%d is below the minimum 1", v)
		}
	}
	switch {
	case len(a.List) > 0:
		return nil
	case a.Start == 0 && a.End == 0 && a.Step == 0:
		return errors.New("missing: write " + axisForm)
	case a.End > Largest:
		return strictyaml.WrongPart(".end", "%d is above the maximum %d", a.End, Largest)
	case a.Start < 1:
		return strictyaml.WrongPart(".start", "start %d is below the minimum 1: write %s", a.Start, axisForm)
	case a.Step < 1:
		return strictyaml.WrongPart(".step", "step %d must be 1 or more: write %s", a.Step, axisForm)
	case a.End < a.Start:
		return strictyaml.WrongPart(".end", "end %d is below start %d: write the smaller one first", a.End, a.Start)
	}
	return nil
}

// Count returns the number of values, duplicates included, of an axis that passed Check.
func (a Axis) Count() int {
	if len(a.List) > 0 {
		return len(a.List)
	}
	return (a.End-a.Start)/a.Step + 1
}

// Values returns the values, ascending and without duplicates.
func (a Axis) Values() []int {
	values := slices.Clone(a.List)
	if len(values) == 0 {
		for i := range a.Count() {
			values = append(values, a.Start+i*a.Step)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}
