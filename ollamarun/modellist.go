package ollamarun

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
)

// ModelList stores a list of a sweep's temporary models in its out folder, one line for each with the
// server's address. The next sweep in that folder, which uses it exclusively, can so identify and
// delete them: also in another container, on another machine, or after a reboot. A name is added
// before its model is created and removed after the model is deleted. Names are unique, so a
// model is recognized even if its server has another address by then.
type ModelList interface {
	// Read returns the data that was written last in this folder, nil if there is none.
	Read() ([]byte, error)
	// Write replaces the data; empty data removes it.
	Write(data []byte) error
}

// modelMark is one line of the list.
type modelMark struct{ name, address string }

// modelMarks is a list of an out folder, in the order of creation.
type modelMarks []modelMark

// contain reports whether a model is on the list, whatever its server.
func (m modelMarks) contain(model string) bool {
	return slices.ContainsFunc(m, func(l modelMark) bool { return modelname.Same(l.name, model) })
}

// marks returns the list of the out folder. Lines without the name of a temporary model are ignored.
func (s *Server) marks() (marks modelMarks, err error) {
	if s.ModelList == nil {
		return nil, nil
	}
	data, err := s.ModelList.Read()
	if err != nil {
		return nil, fmt.Errorf("reading the out folder's list of temporary models: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		name, address, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if _, ok := ownerOf(name); ok {
			marks = append(marks, modelMark{name, address})
		}
	}
	return marks, nil
}

// writeMarks replaces the list of the out folder.
func (s *Server) writeMarks(marks modelMarks) error {
	var b strings.Builder
	for _, m := range marks {
		b.WriteString(m.name + " " + m.address + "\n")
	}
	if err := s.ModelList.Write([]byte(b.String())); err != nil {
		return fmt.Errorf("writing the out folder's list of temporary models: %w", err)
	}
	return nil
}

// mark adds a model to the list, before it is created: a sweep that is killed in between leaves a mark
// without a model, which does no harm, and never a model without a mark.
func (s *Server) mark(name string) error {
	marks, err := s.marks()
	if err != nil || s.ModelList == nil {
		return err
	}
	return s.writeMarks(append(marks, modelMark{name, s.Address()}))
}

// unmark removes a deleted model from the list.
func (s *Server) unmark(name string) error {
	return s.dropMarks(func(m modelMark) bool { return modelname.Same(m.name, name) })
}

// unmarkMissing removes the models of this server that were never created or that somebody else has
// deleted. It is called once all listed models that the server has are deleted. Names of other
// machines stay, because there the same address can be that of another server.
func (s *Server) unmarkMissing() error {
	return s.dropMarks(func(m modelMark) bool { return m.address == s.Address() && leftover(m.name) })
}

// dropMarks removes marks from the list. It writes nothing if there are none.
func (s *Server) dropMarks(drop func(modelMark) bool) error {
	marks, err := s.marks()
	if err != nil || !slices.ContainsFunc(marks, drop) {
		return err
	}
	return s.writeMarks(slices.DeleteFunc(marks, drop))
}
