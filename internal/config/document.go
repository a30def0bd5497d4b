package config

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// document returns the text's only YAML document, which must be a mapping.
func document(data []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: see testdata/demo.yaml for an example")
	} else if err != nil {
		return nil, syntaxError(data, err)
	}
	top := doc.Content[0]
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &strictyaml.LineError{Line: secondDocument(data, top.Line), Key: "", Err: errors.New("more than one YAML document: remove the line ---")}
	}
	if top.Kind != yaml.MappingNode {
		return nil, &strictyaml.LineError{Line: top.Line, Key: "", Err: errors.New("expected lines like `model: llama3.1:8b`")}
	}
	return top, nil
}

// secondDocument returns the line at which a second document begins, given the first line of the
// first one.
func secondDocument(data []byte, first int) int {
	for i, line := range strings.Split(string(data), "\n") {
		if i+1 > first && (strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...")) {
			return i + 1
		}
	}
	return 0
}

// position matches the library's own errors: yaml: line 1: did not find expected ',' or ']'
var position = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

func syntaxError(data []byte, err error) error {
	match := position.FindStringSubmatch(err.Error())
	if match == nil {
		return fmt.Errorf("not YAML: %w", err)
	}
	text := strings.Split(string(data), "\n")
	line := brokenLine(text)
	if line == 0 {
		line, _ = strconv.Atoi(match[1]) // 0 where there is none
	}
	if line > 0 && line <= len(text) && strings.HasPrefix(strings.TrimLeft(text[line-1], " "), "\t") {
		return &strictyaml.LineError{Line: line, Key: "", Err: errors.New("a tab at the start of the line: YAML requires spaces")}
	}
	return &strictyaml.LineError{Line: line, Key: "", Err: fmt.Errorf("not YAML: %s; expected lines like `model: llama3.1:8b`", match[2])}
}

// maxLines limits the time that brokenLine takes for a file that is no config.
const maxLines = 500

// brokenLine returns the first line that makes the text invalid YAML: the one after the
// longest valid prefix. It is 0 where that would take too long to find. The library's own
// line is one too low for errors of its parser, as opposed to its scanner, and is that of
// the enclosing mapping where this does not begin in the first line.
func brokenLine(text []string) int {
	if len(text) > maxLines {
		return 0
	}
	for n := len(text) - 1; n > 0; n-- {
		if isYAML(strings.Join(text[:n], "\n")) {
			return n + 1
		}
	}
	return 1
}

func isYAML(text string) bool {
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		switch err := d.Decode(new(yaml.Node)); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return false
		}
	}
}
