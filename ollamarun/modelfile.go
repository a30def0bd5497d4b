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
	"strings"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/parser"
	"github.com/ollama/ollama/types/model"

	"github.com/ollama-sweep/ollama-sweep/internal/modelfile"
)

// Modelfile is a template from which models with other parameters are created.
type Modelfile struct {
	path     string // empty if it was not read from a file
	commands []parser.Command
	sha256   string
	weights  *Weights // nil if it names no files
}

// ReadModelfile reads the template at path. As in `ollama create`, file names in it
// are relative to its folder, or to a home folder; they are made absolute. Check
// reports those that do not exist.
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

// commentAdvice ends the error of a value that is followed by a comment.
const commentAdvice = "Ollama reads the rest of the line as the value, so put the comment on a line of its own"

// comment matches the start of a comment after a value.
var comment = regexp.MustCompile(`\s#`)

// checkValue returns an error for a value that Ollama would refuse, or would
// misread because a comment follows it.
func checkValue(c parser.Command) error {
	switch c.Name {
	case "license", "template", "system", "message":
		return nil // any text
	case "model", "adapter", "draft", "renderer", "parser", "requires":
		if c.Args == "" {
			return fmt.Errorf("%s has no value: write one, or omit the line (`ollama show` prints none for the FROM of a cloud model, which can't be measured)", instruction(c))
		}
		if comment.MatchString(c.Args) {
			return fmt.Errorf("%s: invalid value %q: %s", instruction(c), c.Args, commentAdvice)
		}
		return nil
	}
	if slices.Contains(warnsOnStdout, c.Name) || !knownParameter(c.Name) {
		return nil // an unknown parameter may be one of a newer server
	}
	if _, err := api.FormatParams(map[string][]string{c.Name: {c.Args}}); err != nil {
		return fmt.Errorf("%s: %w: %s", instruction(c), err, commentAdvice)
	}
	return nil
}

// known reports whether Ollama has a parameter of that name.
func knownParameter(parameter string) bool {
	_, err := api.FormatParams(map[string][]string{parameter: {""}})
	return err == nil || !strings.HasPrefix(err.Error(), "unknown parameter")
}

// absolute makes the name of a file absolute. FROM may name a model instead: its value
// is kept if there is no such file and it is not written as a path.
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

// isPath reports whether the value of FROM can only be the name of a file, not of a model.
func isPath(text string) bool {
	return filepath.IsAbs(text) || text == "." || text == ".." ||
		strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") || strings.HasPrefix(text, "~")
}

// expand returns the absolute name of a file, with ~ and ~NAME replaced by home folders.
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

// homeOf returns the home folder of a user, or of this one if the name is empty, as the shell does for
// ~name and ~.
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

// checkFrom returns an error if the value of FROM is neither a file nor a valid model name.
func checkFrom(c parser.Command) error {
	if c.Name != "model" || filepath.IsAbs(c.Args) || model.ParseName(strings.TrimSuffix(c.Args, ":cloud")).IsValid() {
		return nil
	}
	return fmt.Errorf("FROM: %s is neither a file nor a valid model name: write the name as `ollama list` shows it", c.Args)
}

// instruction returns a command's name as it is written in a Modelfile.
func instruction(c parser.Command) string {
	text, _, _ := strings.Cut(modelfile.Format([]parser.Command{{Name: c.Name, Args: "x"}}), " x")
	return text
}

// Check returns an error if a file that the template names does not exist, or if a
// parameter is written with capital letters, which servers don't accept.
func (m Modelfile) Check() error {
	for _, c := range m.commands {
		lower := strings.ToLower(c.Name)
		switch {
		case lower != c.Name && knownParameter(lower):
			return fmt.Errorf("modelfile %s: PARAMETER %s: Ollama accepts it in lower case only: write %s", m.path, c.Name, lower)
		case !namesFile(c):
			continue
		}
		_, err := os.Stat(c.Args)
		switch {
		case errors.Is(err, os.ErrNotExist) && strings.HasPrefix(filepath.Base(c.Args), "sha256-"):
			return fmt.Errorf("modelfile %s: %s: there is no file %s on this machine: it is a file of the server, as `ollama show` prints it; write the model's name instead", m.path, instruction(c), c.Args)
		case errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("modelfile %s: %s: there is no file %s: names in a template are relative to the template's folder", m.path, instruction(c), c.Args)
		case err != nil:
			return fmt.Errorf("modelfile %s: %s: %w", m.path, instruction(c), err)
		}
	}
	return nil
}

// FromModel returns the template of a model without changes.
func FromModel(name string) Modelfile {
	return Modelfile{commands: []parser.Command{{Name: "model", Args: name}}}
}

// SHA256 returns the hexadecimal checksum of the template's text, empty if it was not read
// from a file.
func (m Modelfile) SHA256() string { return m.sha256 }

// Weights returns the files that the template names, nil if there are none.
func (m Modelfile) Weights() *Weights { return m.weights }

// From returns the model or file of the template's FROM line.
func (m Modelfile) From() string {
	for _, c := range m.commands {
		if c.Name == "model" {
			return c.Args
		}
	}
	return ""
}

// System returns the template's system prompt, empty if it has none. As in `ollama create`,
// the last of several SYSTEM lines counts.
func (m Modelfile) System() string {
	for _, c := range slices.Backward(m.commands) {
		if c.Name == "system" {
			return c.Args
		}
	}
	return ""
}

// Without returns a copy of the template without the lines of these parameters.
func (m Modelfile) Without(parameters ...string) Modelfile {
	m.commands = slices.DeleteFunc(slices.Clone(m.commands), func(c parser.Command) bool { return slices.Contains(parameters, c.Name) })
	return m
}

// WithParameter returns a copy of the template with one line `PARAMETER name value`
// instead of all that it had for that parameter.
func (m Modelfile) WithParameter(name string, value any) Modelfile {
	m = m.Without(name)
	m.commands = append(m.commands, parser.Command{Name: name, Args: fmt.Sprint(value)})
	return m
}

// String returns the template as a Modelfile's text.
func (m Modelfile) String() string { return modelfile.Format(m.commands) }
