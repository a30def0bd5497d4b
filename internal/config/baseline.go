package config

import (
	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Baseline says whether to measure the server's own num_batch.
type Baseline int

// The values of Config.Baseline.
const (
	BaselineOff Baseline = iota
	BaselineOn
	BaselineAuto // in a search, and where it costs little
)

// UnmarshalYAML reads true or false.
func (b *Baseline) UnmarshalYAML(n *yaml.Node) error {
	var on bool
	if err := strictyaml.Decode(n, &on); err != nil {
		return err
	}
	*b = baselineOf(on)
	return nil
}

// parseBaseline reads true or false.
func parseBaseline(s string) (Baseline, error) {
	on, err := parseBool(s)
	return baselineOf(on), err
}

func baselineOf(on bool) Baseline {
	if on {
		return BaselineOn
	}
	return BaselineOff
}
