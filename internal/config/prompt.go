package config

import (
	"errors"
	"fmt"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Prompt is the prompt of each measurement: the text of a file, or a generated text of
// so many tokens, or one that fills a part of num_ctx.
type Prompt struct {
	File   string
	Tokens int     // the server's template included
	Fill   float64 // fraction of num_ctx, above 0 and below 1
}

// String returns the prompt as in a config, and a file without its folder, which differs
// between machines.
func (p Prompt) String() string {
	switch {
	case p.File != "":
		return filepath.Base(p.File)
	case p.Fill > 0:
		return fmt.Sprintf("{fill: %v}", p.Fill)
	}
	return fmt.Sprintf("{tokens: %d}", p.Tokens)
}

// promptForm is the syntax of a prompt in a config.
const promptForm = "a file's name, {tokens: 8192}, or {fill: 0.9} of num_ctx"

// UnmarshalYAML reads a file name, `{tokens: 8192}` or `{fill: 0.9}`.
func (p *Prompt) UnmarshalYAML(n *yaml.Node) error {
	*p = Prompt{}
	if n.Kind == yaml.ScalarNode {
		return strictyaml.Decode(n, &p.File)
	}
	return strictyaml.Mapping(n, map[string]any{"tokens": &p.Tokens, "fill": &p.Fill}, promptForm)
}

func (p Prompt) check() error {
	switch {
	case p == Prompt{}:
		return errors.New("missing: write " + promptForm)
	case p.File != "":
		return readable(p.File)
	case p.Tokens != 0 && p.Fill != 0:
		return errors.New("tokens and fill exclude each other: leave one out")
	case p.Tokens < 0:
		return strictyaml.WrongPart(".tokens", "tokens %d must be 1 or more, like 8192", p.Tokens)
	case p.Tokens == 0 && (!(p.Fill > 0) || p.Fill >= 1):
		return strictyaml.WrongPart(".fill", "fill %v must be above 0 and below 1, like 0.9", p.Fill)
	}
	return nil
}
