package ollamarun

import (
	"bytes"
	"io"
	"os"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// headSize is how many of a log's first bytes distinguish it from another log in the same file:
// a server that is started with `>FILE` truncates the previous log, and its own may soon be longer.
const headSize = 256

// Start returns what the log reports about the server's newest start. If the log has grown since
// the last call it reads the new part, and if that has a start, the whole log again.
func (l *ServerLog) Start() (start measurement.ServerStart, err error) {
	err = l.open(func(f *os.File) error {
		head := make([]byte, headSize)
		n, err := f.ReadAt(head, 0)
		if err != nil && err != io.EOF {
			return err
		}
		if !bytes.HasPrefix(head[:n], l.head) {
			l.start, l.read = measurement.ServerStart{}, 0
		}
		l.head = head[:n]
		err = l.readStart(f)
		start = l.start
		return err
	})
	return start, err
}

// readStart looks for a start in the part that has not been searched. It reads whole lines: the last one
// may still be growing.
func (l *ServerLog) readStart(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	hasStart, whole, err := parse.HasStart(io.NewSectionReader(f, l.read, max(0, info.Size()-l.read)))
	if err != nil {
		return err
	}
	l.read += whole
	if !hasStart {
		return nil
	}
	if l.start.Devices, err = parse.Devices(io.NewSectionReader(f, 0, l.read)); err != nil {
		return err
	}
	l.start.Environment, err = parse.Environment(io.NewSectionReader(f, 0, l.read))
	l.start.Settings = parse.ServerSettings(l.start.Environment)
	return err
}
