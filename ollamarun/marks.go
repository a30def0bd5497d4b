package ollamarun

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
)

// Marks keep the names of a sweep's temporary models in its out folder, a line each with the server's
// address, so that the next sweep there, which has the folder to itself, knows whose they are: also
// in another container, on another machine, or after a restart. A name is there before its model is
// made, and until that is deleted. No two sweeps give the same name, so it is known whichever address
// its server has by then.
type Marks interface {
	// Read returns what was written last in this folder, and nothing where nothing was.
	Read() ([]byte, error)
	// Write replaces it; no data removes it.
	Write(data []byte) error
}

// modelMark is a line of the marks.
type modelMark struct{ name, address string }

type modelMarks []modelMark

func (m modelMarks) have(model string) bool {
	return slices.ContainsFunc(m, func(l modelMark) bool { return modelname.Same(l.name, model) })
}

// marks returns the marks of the out folder. What is no temporary model's name is passed over.
func (s *Server) marks() (marks modelMarks, err error) {
	if s.Marks == nil {
		return nil, nil
	}
	data, err := s.Marks.Read()
	if err != nil {
		return nil, fmt.Errorf("reading which temporary models are this folder's: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		name, address, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if _, ok := ownerOf(name); ok {
			marks = append(marks, modelMark{name, address})
		}
	}
	return marks, nil
}

func (s *Server) writeMarks(marks modelMarks) error {
	var b strings.Builder
	for _, m := range marks {
		b.WriteString(m.name + " " + m.address + "\n")
	}
	if err := s.Marks.Write([]byte(b.String())); err != nil {
		return fmt.Errorf("noting which temporary models are this folder's: %w", err)
	}
	return nil
}

func (s *Server) mark(name string) error {
	marks, err := s.marks()
	if err != nil || s.Marks == nil {
		return err
	}
	return s.writeMarks(append(marks, modelMark{name, s.Address()}))
}

// unmark drops the mark of a model that is gone.
func (s *Server) unmark(name string) error {
	return s.dropMarks(func(m modelMark) bool { return modelname.Same(m.name, name) })
}

// unmarkMissing drops the marks of models that were never made or that somebody else has deleted,
// once all that the server has are deleted. Those of other machines stay: there the same address can
// be another server's.
func (s *Server) unmarkMissing() error {
	return s.dropMarks(func(m modelMark) bool { return m.address == s.Address() && leftover(m.name) })
}

func (s *Server) dropMarks(drop func(modelMark) bool) error {
	marks, err := s.marks()
	if err != nil || !slices.ContainsFunc(marks, drop) {
		return err
	}
	return s.writeMarks(slices.DeleteFunc(marks, drop))
}
