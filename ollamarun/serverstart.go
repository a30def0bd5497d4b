package ollamarun

import (
	"bytes"
	"io"
	"os"

	"github.com/ollama-sweep/ollama-sweep/parse"
)

// ServerStart is what a server's log tells of its newest start; nil is what it does not tell,
// as where it does not go back that far.
type ServerStart struct {
	Devices  []string          // that it computes on; see parse.Devices
	Settings map[string]string // of its environment; see parse.ServerSettings
}

// headSize is how much of a log's beginning tells it from another in the same file: a server
// that is started with `>FILE` cuts the log of the one before, and may soon have a longer one.
const headSize = 256

// Start returns what the log tells of the server's newest start. Of a log that has grown since
// the last call it reads what is new, and all of it again where that has a start.
func (l *ServerLog) Start() (start ServerStart, err error) {
	err = l.open(func(f *os.File) error {
		head := make([]byte, headSize)
		n, err := f.ReadAt(head, 0)
		if err != nil && err != io.EOF {
			return err
		}
		if !bytes.HasPrefix(head[:n], l.head) {
			l.start, l.read = ServerStart{}, 0
		}
		l.head = head[:n]
		err = l.readStart(f)
		start = l.start
		return err
	})
	return start, err
}

func (l *ServerLog) readStart(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	tells, whole, err := parse.TellsStart(io.NewSectionReader(f, l.read, max(0, info.Size()-l.read)))
	if err != nil {
		return err
	}
	l.read += whole
	if !tells {
		return nil
	}
	if l.start.Devices, err = parse.Devices(io.NewSectionReader(f, 0, l.read)); err != nil {
		return err
	}
	l.start.Settings, err = parse.ServerSettings(io.NewSectionReader(f, 0, l.read))
	return err
}
