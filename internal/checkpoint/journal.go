package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/strictjson"
)

// A journal holds the changes since the checkpoint file was last written, one per line, so that
// saving a sample does not rewrite all others. It is next to the checkpoint, and is removed when the
// sweep ends normally; after a kill it is read together with the checkpoint:
//
//	{"checkpoint":"5258c386…"}
//	{"result":{"num_ctx":4096,"num_batch":512,…}}
//	{"at":0,"remeasured":{"purpose":"reference",…}}
//	{"sweep":{"model":"llama3.1:8b",…}}
//	{"next":"e3b0c442…"}
//
// The first line holds the SHA-256 of the checkpoint file that the journal adds to. A line with
// "next" ends it, and holds the SHA-256 of the file that includes all of it. A last line without
// a line end was never reported as saved.
type entry struct {
	Checkpoint string     `json:"checkpoint,omitempty"`
	Sweep      *Header    `json:"sweep,omitempty"`
	Result     *Result    `json:"result,omitempty"`
	At         int        `json:"at,omitempty"` // index of Auxiliary in its list
	Remeasured *Auxiliary `json:"remeasured,omitempty"`
	Next       string     `json:"next,omitempty"`
}

// JournalName is the journal's name in a sweep's out folder.
const JournalName = "benchmark_results.journal"

// JournalOf returns the name of a checkpoint's journal.
func JournalOf(checkpoint string) string {
	return strings.TrimSuffix(checkpoint, ".json") + ".journal"
}

// journal is a journal that is being written.
type journal struct {
	file *os.File
	size int64 // bytes of whole lines
}

// beginJournal makes the journal of the checkpoint file at path.
func beginJournal(path string, s stamp) (_ *journal, err error) {
	name := JournalOf(path)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, s.info.Mode().Perm())
	if err != nil {
		return nil, err
	}
	j := &journal{file: f}
	first, err := json.Marshal(entry{Checkpoint: s.sum})
	if err == nil {
		err = j.append(first)
	}
	if err == nil {
		err = syncFolder(path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(name))
	}
	return j, nil
}

// intact reports whether the journal of the checkpoint at path is still the file that j writes, and
// no other process has written to it.
func (j *journal) intact(path string) bool {
	mine, err := j.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(JournalOf(path))
	return err == nil && os.SameFile(mine, there) && there.Size() == j.size
}

// append adds lines and syncs them. After an error the journal is as it was before.
func (j *journal) append(lines ...[]byte) error {
	data := append(bytes.Join(lines, []byte("\n")), '\n')
	_, err := j.file.Write(data)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return errors.Join(err, j.file.Truncate(j.size))
	}
	j.size += int64(len(data))
	return nil
}

// endJournal writes the last line of the journal of the checkpoint at path, if it has one: the file
// of that SHA-256 is about to replace the checkpoint, and includes the journal.
func endJournal(path, sum string) error {
	data, err := readJournalFile(JournalOf(path))
	if err != nil || data == nil {
		return err
	}
	if first, _, whole := bytes.Cut(data, []byte("\n")); whole {
		if _, err := decodeJournal(first); err != nil {
			return fmt.Errorf("%q is not the journal of a checkpoint (%w): move it away", JournalOf(path), err)
		}
	}
	f, err := os.OpenFile(JournalOf(path), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	line, err := json.Marshal(entry{Next: sum})
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(append(line, '\n'), int64(len(data))); err != nil {
		return err
	}
	return f.Sync()
}

// readJournalFile returns the complete lines of a journal, and nil where there is none.
func readJournalFile(name string) ([]byte, error) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading journal: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("journal %q is not a file (%v)", name, info.Mode().Type())
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading journal: %w", err)
	}
	return append([]byte{}, data[:bytes.LastIndexByte(data, '\n')+1]...), nil
}

// errOtherCheckpoint is the error of a journal that was written for another checkpoint file.
var errOtherCheckpoint = errors.New("the journal belongs to another version of this file: restore that version, or move the journal away, which drops its samples")

// apply applies the journal's lines to the checkpoint, which was read from a file of that SHA-256.
func (cp *Checkpoint) apply(data []byte, sum string) error {
	entries, err := decodeJournal(data)
	if err != nil || len(entries) == 0 {
		return err
	}
	switch {
	case entries[len(entries)-1].Next == sum:
		return nil // the file includes the journal
	case entries[0].Checkpoint != sum:
		return errOtherCheckpoint
	}
	at := make(map[cell.Key]int, len(cp.Results))
	for i := range cp.Results {
		at[cp.Results[i].Cell()] = i
	}
	for i, e := range entries {
		if err := cp.add(e, at); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

// decodeJournal reads complete lines. A journal without a complete first line is empty.
func decodeJournal(data []byte) (entries []entry, err error) {
	for i, line := range bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
		if len(data) == 0 {
			return nil, nil
		}
		var e entry
		if err := strictjson.UnmarshalKnown(line, &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, errors.New(strings.TrimPrefix(err.Error(), "line 1: ")))
		}
		if (i == 0) != (e.Checkpoint != "") {
			return nil, fmt.Errorf("line %d: the first line, and only the first, must have the key \"checkpoint\"", i+1)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// add applies one line of a journal. at holds the indices of the results.
func (cp *Checkpoint) add(e entry, at map[cell.Key]int) error {
	if e.Sweep != nil {
		cp.Sweep = *e.Sweep
	}
	if r := e.Result; r != nil {
		i, ok := at[r.Cell()]
		if !ok {
			i = len(cp.Results)
			at[r.Cell()] = i
			cp.Results = append(cp.Results, Result{})
		}
		cp.Results[i] = *r
	}
	if r := e.Remeasured; r != nil {
		switch {
		case e.At < 0 || e.At > len(cp.Auxiliary):
			return fmt.Errorf("index %d is out of range for %d entries", e.At, len(cp.Auxiliary))
		case e.At == len(cp.Auxiliary):
			cp.Auxiliary = append(cp.Auxiliary, *r)
		default:
			cp.Auxiliary[e.At] = *r
		}
	}
	return nil
}
