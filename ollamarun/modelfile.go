package ollamarun

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/parser"
	"github.com/ollama/ollama/types/model"

	"github.com/ollama-sweep/ollama-sweep/internal/modelfile"
)

// Modelfile is a template of which models with other parameters are made.
type Modelfile struct {
	path     string // empty where there is no file of it
	commands []parser.Command
	sha256   string
	weights  *Weights // nil where it names no files
}

// ReadModelfile reads the template at path. File names in it are taken as
// relative to it, or to a home folder, as `ollama create` does, and made absolute;
// that they are there is for Check to say.
func ReadModelfile(path string) (Modelfile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Modelfile{}, fmt.Errorf("reading modelfile: %w", err)
	}
	commands, err := modelfile.Parse(text)
	if err != nil {
		return Modelfile{}, fmt.Errorf("modelfile %s: %w", path, err)
	}
	sum := sha256.Sum256(text)
	m := Modelfile{path: path, commands: commands, sha256: hex.EncodeToString(sum[:])}
	for i := range m.commands {
		c := &m.commands[i]
		if err := cmp.Or(checkValue(*c), absolute(c, filepath.Dir(path)), checkFrom(*c)); err != nil {
			return Modelfile{}, fmt.Errorf("modelfile %s: line %d: %w", path, modelfile.Line(text, i), err)
		}
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Modelfile{}, fmt.Errorf("modelfile %s: %w", path, err)
	}
	m.weights = newWeights(dir, m.commands)
	return m, nil
}

// ownLine is what to do about a comment behind a value.
const ownLine = "Ollama takes the rest of the line for the value, so put a comment on a line of its own"

// comment matches where one begins behind a value.
var comment = regexp.MustCompile(`\s#`)

// checkValue returns an error for a value that Ollama would refuse, or would
// misread since a comment follows it.
func checkValue(c parser.Command) error {
	switch c.Name {
	case "license", "template", "system", "message":
		return nil // any text
	case "model", "adapter", "draft", "renderer", "parser", "requires":
		if c.Args == "" {
			return fmt.Errorf("%s has no value: write one, or leave the line out (`ollama show` prints none for FROM where the model is a cloud model, which can't be measured)", instruction(c))
		}
		if comment.MatchString(c.Args) {
			return fmt.Errorf("%s: %q is no value for it: %s", instruction(c), c.Args, ownLine)
		}
		return nil
	}
	if slices.Contains(warnsOnStdout, c.Name) || !known(c.Name) {
		return nil // what is not known here may be a newer server's
	}
	if _, err := api.FormatParams(map[string][]string{c.Name: {c.Args}}); err != nil {
		return fmt.Errorf("%s: %w: %s", instruction(c), err, ownLine)
	}
	return nil
}

// known reports whether Ollama has a parameter of that name.
func known(parameter string) bool {
	_, err := api.FormatParams(map[string][]string{parameter: {""}})
	return err == nil || !strings.HasPrefix(err.Error(), "unknown parameter")
}

// absolute makes the name of a file absolute. What FROM names may be a model instead:
// it stays as it is where there is no such file and it is not written as one.
func absolute(c *parser.Command, dir string) error {
	if !slices.Contains([]string{"model", "adapter", "draft"}, c.Name) {
		return nil
	}
	file, err := expand(c.Args, dir)
	if err != nil {
		return fmt.Errorf("%s: %w", instruction(*c), err)
	}
	if _, err := os.Stat(file); err == nil || c.Name != "model" || isPath(c.Args) {
		c.Args = file
	}
	return nil
}

// isPath reports whether a text can only be the name of a file, and not of a model.
func isPath(text string) bool {
	return filepath.IsAbs(text) || text == "." || text == ".." ||
		strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") || strings.HasPrefix(text, "~")
}

// expand returns the absolute name of a file, with ~ and ~NAME as the home folders that
// they stand for.
func expand(file, dir string) (string, error) {
	if rest, ok := strings.CutPrefix(file, "~"); ok {
		name, below, _ := strings.Cut(rest, "/")
		home, err := homeOf(name)
		if err != nil {
			return "", err
		}
		return filepath.Abs(filepath.Join(home, below))
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	return filepath.Abs(file)
}

func homeOf(name string) (string, error) {
	u, err := user.Current()
	if name != "" {
		u, err = user.Lookup(name)
	}
	if err != nil {
		return "", fmt.Errorf("finding the home folder: %w", err)
	}
	return u.HomeDir, nil
}

// checkFrom returns an error where FROM names neither a file nor what can be a model.
func checkFrom(c parser.Command) error {
	if c.Name != "model" || filepath.IsAbs(c.Args) || model.ParseName(strings.TrimSuffix(c.Args, ":cloud")).IsValid() {
		return nil
	}
	return fmt.Errorf("FROM: there is no file %s, and it is no model's name: write it as `ollama list` shows it", c.Args)
}

// instruction names a command as it is written.
func instruction(c parser.Command) string {
	text, _, _ := strings.Cut(modelfile.Format([]parser.Command{{Name: c.Name, Args: "x"}}), " x")
	return text
}

// Check returns an error where a file that the template names is not there, or where a
// parameter is written in capitals, which servers don't know.
func (m Modelfile) Check() error {
	for _, c := range m.commands {
		lower := strings.ToLower(c.Name)
		switch {
		case lower != c.Name && known(lower):
			return fmt.Errorf("modelfile %s: PARAMETER %s: Ollama knows it in lower case alone: write %s", m.path, c.Name, lower)
		case !namesFile(c):
			continue
		}
		_, err := os.Stat(c.Args)
		switch {
		case errors.Is(err, os.ErrNotExist) && strings.HasPrefix(filepath.Base(c.Args), "sha256-"):
			return fmt.Errorf("modelfile %s: %s: there is no file %s here: it is the server's own, as `ollama show` names it, so write the model's name instead", m.path, instruction(c), c.Args)
		case errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("modelfile %s: %s: there is no file %s: names in a template are relative to its folder", m.path, instruction(c), c.Args)
		case err != nil:
			return fmt.Errorf("modelfile %s: %s: %w", m.path, instruction(c), err)
		}
	}
	return nil
}

// FromModel is the template of a model as it is.
func FromModel(name string) Modelfile {
	return Modelfile{commands: []parser.Command{{Name: "model", Args: name}}}
}

// SHA256 identifies the template's text, and is empty where there is none.
func (m Modelfile) SHA256() string { return m.sha256 }

// Weights returns the files that the template names, nil where there are none.
func (m Modelfile) Weights() *Weights { return m.weights }

// From returns the model or file that the template builds on.
func (m Modelfile) From() string {
	for _, c := range m.commands {
		if c.Name == "model" {
			return c.Args
		}
	}
	return ""
}

// System returns the template's system prompt, empty where it has none. Of several
// SYSTEM lines the last counts, as in `ollama create`.
func (m Modelfile) System() string {
	for _, c := range slices.Backward(m.commands) {
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
func (m Modelfile) String() string { return modelfile.Format(m.commands) }
