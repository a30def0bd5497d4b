package sweep

import (
	"errors"
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// Axis holds the values of one setting: a range whose end is included where a
// step lands on it, or a list.
type Axis struct {
	Start int `yaml:"start"`
	End   int `yaml:"end"`
	Step  int `yaml:"step"`

	List []int `yaml:"-"` // not empty: the values themselves
}

// UnmarshalYAML reads `{start: 128, end: 2048, step: 128}`, `[128, 256, 512]`
// or `512`.
func (a *Axis) UnmarshalYAML(n *yaml.Node) error {
	*a = Axis{}
	switch n.Kind {
	case yaml.ScalarNode:
		var v int
		if err := n.Decode(&v); err != nil {
			return err
		}
		a.List = []int{v}
		return nil
	case yaml.SequenceNode:
		return n.Decode(&a.List)
	}
	if err := onlyKeys(n, "start", "end", "step"); err != nil {
		return err
	}
	type plain Axis
	return n.Decode((*plain)(a))
}

// onlyKeys refuses keys of a mapping that are not among the known ones.
func onlyKeys(n *yaml.Node, known ...string) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: expected a mapping with %v", n.Line, known)
	}
	for i := 0; i < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(known, key.Value) {
			return fmt.Errorf("line %d: unknown key %q; known are %v", key.Line, key.Value, known)
		}
	}
	return nil
}

func (a Axis) check() error {
	if len(a.List) > 0 {
		if least := slices.Min(a.List); least < 1 {
			return fmt.Errorf("%d is not a value that a server takes, the least is 1", least)
		}
		return nil
	}
	switch {
	case a.Start == 0 && a.End == 0 && a.Step == 0:
		return errors.New("missing: write {start: N, end: N, step: N} or a list [N, N, …]")
	case a.Start < 1:
		return fmt.Errorf("start %d is not a value that a server takes, the least is 1", a.Start)
	case a.Step < 1:
		return fmt.Errorf("step %d must be 1 or more", a.Step)
	case a.End < a.Start:
		return fmt.Errorf("end %d is below start %d", a.End, a.Start)
	case (a.End-a.Start)/a.Step >= MaxCells:
		return fmt.Errorf("step %d makes more than %d values", a.Step, MaxCells)
	}
	return nil
}

// Values returns the values, ascending and each once.
func (a Axis) Values() []int {
	values := slices.Clone(a.List)
	if len(values) == 0 {
		for v := a.Start; v <= a.End; v += a.Step {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}
