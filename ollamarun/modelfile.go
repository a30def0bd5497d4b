package ollamarun

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama/ollama/parser"
)

// Modelfile is a template of which models with other parameters are made.
type Modelfile struct {
	commands []parser.Command
	sha256   string
}

// ReadModelfile reads the template at path. File names in it are taken as
// relative to it, as `ollama create` does, and made absolute.
func ReadModelfile(path string) (Modelfile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Modelfile{}, fmt.Errorf("reading modelfile: %w", err)
	}
	f, err := parser.ParseFile(strings.NewReader(string(text)))
	if err != nil {
		return Modelfile{}, fmt.Errorf("modelfile %s: %w: a template needs a line like `FROM llama3.1:8b`", path, err)
	}
	sum := sha256.Sum256(text)
	m := Modelfile{commands: f.Commands, sha256: hex.EncodeToString(sum[:])}
	for i, c := range m.commands {
		if c.Name != "model" && c.Name != "adapter" {
			continue
		}
		file := c.Args
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		if _, err := os.Stat(file); err != nil {
			continue // a model's name, or a path that the server will name as missing
		}
		if m.commands[i].Args, err = filepath.Abs(file); err != nil {
			return Modelfile{}, fmt.Errorf("modelfile %s: %w", path, err)
		}
	}
	return m, nil
}

// FromModel is the template of a model as it is.
func FromModel(name string) Modelfile {
	return Modelfile{commands: []parser.Command{{Name: "model", Args: name}}}
}

// SHA256 identifies the template's text, and is empty where there is none.
func (m Modelfile) SHA256() string { return m.sha256 }

// From returns the model or file that the template builds on.
func (m Modelfile) From() string {
	for _, c := range m.commands {
		if c.Name == "model" {
			return c.Args
		}
	}
	return ""
}

// System returns the template's system prompt, empty where it has none.
func (m Modelfile) System() string {
	for _, c := range m.commands {
		if c.Name == "system" {
			return c.Args
		}
	}
	return ""
}

// Without returns the template without the lines of these parameters.
func (m Modelfile) Without(parameters ...string) Modelfile {
	m.commands = slices.DeleteFunc(slices.Clone(m.commands), func(c parser.Command) bool { return slices.Contains(parameters, c.Name) })
	return m
}

// WithParameter returns the template with one line `PARAMETER name value`,
// whatever it held of that parameter before.
func (m Modelfile) WithParameter(name string, value int) Modelfile {
	m = m.Without(name)
	m.commands = append(m.commands, parser.Command{Name: name, Args: strconv.Itoa(value)})
	return m
}

// String returns the template as a Modelfile's text.
func (m Modelfile) String() string { return parser.Modelfile{Commands: m.commands}.String() }
