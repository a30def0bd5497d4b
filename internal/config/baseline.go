package config

import (
	"fmt"
	"strconv"

	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Baseline says whether to measure the server's own num_batch, in turns with the recommended cell: a
// positive number is that of the rounds.
type Baseline int

// Values of Config.Baseline.
const (
	BaselineAuto Baseline = -1 // in a search, and where it costs little
	BaselineOff  Baseline = 0
	// BaselineOn is the smallest number of rounds: six samples a side are the least that have a 95 %
	// interval. The other numbers are this one, doubled once or more.
	BaselineOn Baseline = 6
	// BaselineMost is the largest number of rounds.
	BaselineMost Baseline = BaselineOn << 7
)

// baselineForm describes the values of the key.
var baselineForm = fmt.Sprintf("true, false or a number of rounds from %d to %d", BaselineOn, BaselineMost)

// Requested reports whether to measure it also where that costs much.
func (b Baseline) Requested() bool { return b > 0 }

// Rounds returns the number of rounds.
func (b Baseline) Rounds() int { return int(max(b, BaselineOn)) }

// Reaching returns the smallest number of rounds that a baseline can have and that is not below n.
func Reaching(n int) Baseline {
	b := BaselineOn
	for int(b) < n {
		b *= 2
	}
	return b
}

// UnmarshalYAML reads true, false or a number of rounds.
func (b *Baseline) UnmarshalYAML(n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!bool":
		return strictyaml.Scalar(n, b, baselineForm, parseBaseline)
	case "!!int":
		return strictyaml.Scalar(n, b, baselineForm, parseRounds)
	}
	return strictyaml.Expected(baselineForm, n)
}

// parseBaseline reads true, false or a number of rounds.
func parseBaseline(s string) (Baseline, error) {
	switch on, err := parseBool(s); {
	case err != nil:
		return parseRounds(s)
	case on:
		return BaselineOn, nil
	}
	return BaselineOff, nil
}

func parseRounds(s string) (Baseline, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < int(BaselineOn) || n > int(BaselineMost) {
		return BaselineOff, fmt.Errorf("expected %s, got %q", baselineForm, s)
	}
	return Reaching(n), nil
}
