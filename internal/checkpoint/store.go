package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
)

// Store keeps the checkpoint of a running sweep on disk. After each Put the file and its journal
// hold all results including that one, or, when saving failed, all results before it.
type Store struct {
	// Lock, unless nil, must be held for each save.
	Lock *Lock

	path string
	cp   *Checkpoint
	at   map[cell.Key]int // indices into the checkpoint's results
	// results and remeasured are the encoded lines of the file, so that a save does not encode
	// again what did not change.
	results, remeasured [][]byte

	onDisk  stamp    // the file as last read or written
	journal *journal // what was saved since, nil for nothing
	rewrite bool     // the next save must rewrite the file: the journal can't express the change
	header  bool     // the header has changed since it was saved

	// Note is a message for the user about what was done with an existing file; empty for none.
	Note string
}

// OpenStore reads the checkpoint in the folder, or begins one. A file that
// belongs to another sweep than the header's is an error and not changed. A copy
// of an older tool's file is kept before the sweep resumes it in this format.
// With fresh an existing file is moved aside, to a name with the time in it. Where
// the checkpoint is a link, the file that it points to is used. A folder in which
// the file can't be saved is an error now, before anything is measured.
func OpenStore(dir string, h Header, fresh bool, now time.Time) (*Store, error) {
	s := &Store{path: filepath.Join(dir, FileName), at: make(map[cell.Key]int)}
	target, linkErr := targetOf(s.path)
	if linkErr == nil {
		s.path = target
	}
	if fresh {
		aside, err := PutAside(s.path, now)
		if err != nil {
			return nil, err
		}
		if aside != "" {
			s.Note = "the previous checkpoint is now " + aside
		}
		linkErr = nil
	}
	if linkErr != nil {
		return nil, linkErr
	}
	cp, onDisk, err := load(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.Started = now
		cp = new(Checkpoint)
	case err != nil:
		return nil, fmt.Errorf("%w; repair or move the file, or start anew with -fresh, which keeps it under another name", err)
	case cp.OlderTool:
		if err := s.adoptOlder(cp, h, now); err != nil {
			return nil, err
		}
	default:
		if diff := cp.Sweep.Differs(h); diff != "" {
			return nil, &OtherSweepError{s.path, diff}
		}
		h.Started, h.Run = cp.Sweep.Started, cp.Sweep.Run
		h.Sizing = cp.Sweep.Sizing
		h.Warnings = cp.Sweep.Warnings
		h.Unprobeable = cp.Sweep.Unprobeable
		h.fillFrom(cp.Sweep)
		if h.Strategy == cp.Sweep.Strategy {
			h.Search = cp.Sweep.Search
		}
	}
	cp.Sweep, cp.Version = h, h.Format()
	s.cp, s.onDisk, s.rewrite = cp, onDisk, true // the header may have changed, and the next save ends a journal
	if s.results, err = linesOf("result", cp.Results).all(); err != nil {
		return nil, err
	}
	if s.remeasured, err = linesOf("remeasured", cp.Auxiliary).all(); err != nil {
		return nil, err
	}
	for i := range cp.Results {
		s.at[cp.Results[i].Cell()] = i
	}
	return s, s.checkWritable()
}

// PutAside renames a checkpoint's file and its journal to names with the time in them. It returns
// the file's new name, or nothing where there is neither.
func PutAside(path string, now time.Time) (aside string, err error) {
	aside = asideName(path, now)
	moved := false
	for _, names := range [][2]string{{path, aside}, {JournalOf(path), JournalOf(aside)}} {
		err := os.Rename(names[0], names[1])
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("moving the checkpoint aside: %w", err)
		}
		moved = moved || err == nil
	}
	if !moved {
		return "", nil
	}
	return aside, nil
}

// asideName returns an unused name for a checkpoint, with the time in it.
func asideName(path string, now time.Time) string {
	stem := strings.TrimSuffix(path, ".json") + now.Format("-20060102-150405.000")
	name := stem + ".json"
	for i := 2; ; i++ {
		if !exists(name) && !exists(JournalOf(name)) {
			return name
		}
		name = fmt.Sprintf("%s-%d.json", stem, i)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (s *Store) adoptOlder(cp *Checkpoint, h Header, now time.Time) error {
	if m := cp.Sweep.Model; m != "" && !modelname.Same(m, h.Model) {
		return &OtherSweepError{s.path, fmt.Sprintf("model is %q there and %q here", m, h.Model)}
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return fmt.Errorf("reading checkpoint: %w", err)
	}
	kept := s.path[:len(s.path)-len(".json")] + "-older-tool" + now.Format("-20060102-150405") + ".json"
	if err := s.copyTo(kept, data); err != nil {
		return fmt.Errorf("keeping the older tool's checkpoint: %w", err)
	}
	s.Note = "the checkpoint was written by an older tool: its results count, and the file is kept as " + kept
	for i := range cp.Results {
		cp.Results[i].Warnings = append(cp.Results[i].Warnings, "from an older tool's checkpoint: one prompt, not checked")
	}
	cp.OlderTool = false
	return nil
}

// Path returns the checkpoint's file name.
func (s *Store) Path() string { return s.path }

// Checkpoint returns the checkpoint, which belongs to the store.
func (s *Store) Checkpoint() *Checkpoint { return s.cp }

// Result returns a copy of the cell's result, and false when it has none.
func (s *Store) Result(c cell.Key) (Result, bool) {
	i, ok := s.at[c]
	if !ok {
		return Result{}, false
	}
	return s.cp.Results[i], true
}

// Put adds a result, or replaces the one of the same cell, and saves.
func (s *Store) Put(r Result) error {
	line, err := json.Marshal(&r)
	if err != nil {
		return fmt.Errorf("encoding %v: %w", r.Cell(), err)
	}
	i, ok := s.at[r.Cell()]
	if !ok {
		i = len(s.results)
		s.at[r.Cell()] = i
		s.results = append(s.results, nil)
		s.cp.Results = append(s.cp.Results, Result{})
	}
	s.results[i], s.cp.Results[i] = line, r
	return s.save(fmt.Appendf(nil, `{"result":%s}`, line))
}

// PutAuxiliary adds an auxiliary measurement and saves. With more, r replaces the newest entry, which
// is the same load with fewer samples.
func (s *Store) PutAuxiliary(r Auxiliary, more bool) error {
	line, err := json.Marshal(&r)
	if err != nil {
		return fmt.Errorf("encoding %s %v: %w", r.Purpose, r.Cell(), err)
	}
	if !more {
		s.remeasured = append(s.remeasured, nil)
		s.cp.Auxiliary = append(s.cp.Auxiliary, Auxiliary{})
	}
	i := len(s.cp.Auxiliary) - 1
	s.remeasured[i], s.cp.Auxiliary[i] = line, r
	return s.save(fmt.Appendf(nil, `{"at":%d,"remeasured":%s}`, i, line))
}

// SetSizing sets the prompt's sizing, to be saved with the next result.
func (s *Store) SetSizing(sizing Sizing) { s.cp.Sweep.Sizing, s.header = sizing, true }

// UpdateIdentity sets the server's devices and settings, which its log may show only after the sweep has
// begun, to be saved with the next result.
func (s *Store) UpdateIdentity(h Header) {
	s.cp.Sweep.Devices, s.cp.Sweep.Settings, s.header = h.Devices, h.Settings, true
}

// SetAttention sets the attention implementation of a load unless it is known already, to be saved with
// the next result.
func (s *Store) SetAttention(how string) {
	s.cp.Sweep.Attention, s.header = cmp.Or(s.cp.Sweep.Attention, how), true
}

// SetUnprobeable sets the reason why the model's loads can't be probed, to be saved with the next result.
func (s *Store) SetUnprobeable(reason string) { s.cp.Sweep.Unprobeable, s.header = reason, true }

// Warn adds a warning about the machine, to be saved with the next result.
func (s *Store) Warn(text string) {
	if !slices.Contains(s.cp.Sweep.Warnings, text) {
		s.cp.Sweep.Warnings, s.header = append(s.cp.Sweep.Warnings, text), true
	}
}

// SetAnswer sets the result of a search, to be saved with the next result.
func (s *Store) SetAnswer(a *Answer) { s.cp.Sweep.Search, s.header = a, true }

// Save saves what is to be saved with the next result, where there will be none.
func (s *Store) Save() error { return s.save() }

// A checkpoint of up to smallFile bytes, about a hundred cells, is rewritten with each save. A
// larger one has a journal of up to 1/journalPart of its size, so that each byte is written about
// six times, whatever the number of cells.
const (
	smallFile   = 64 << 10
	journalPart = 4
)

// save saves the entries, lines of a journal, and the header where it has changed.
func (s *Store) save(entries ...[]byte) (err error) {
	defer func() {
		s.rewrite = s.rewrite || err != nil
		s.wrap(&err)
	}()
	if err := s.check(); err != nil {
		return err
	}
	if s.rewrite || s.onDisk.info.Size() < smallFile || s.journal != nil && s.journal.size > s.onDisk.info.Size()/journalPart {
		return s.write()
	}
	if s.header {
		header, err := json.Marshal(s.cp.Sweep)
		if err != nil {
			return fmt.Errorf("encoding header: %w", err)
		}
		entries = append(entries, fmt.Appendf(nil, `{"sweep":%s}`, header))
	}
	if len(entries) == 0 {
		return nil
	}
	if s.journal == nil {
		if s.journal, err = beginJournal(s.path, s.onDisk); err != nil {
			return err
		}
	}
	s.header = false
	return s.journal.append(entries...)
}

// errChanged is the error of a checkpoint that another program has changed.
var errChanged = errors.New("another program has changed it since this sweep saved it")

// check returns an error where a save would replace a file that another program has written. A
// file that was removed is rewritten.
func (s *Store) check() error {
	if err := s.Lock.check(); err != nil {
		return err
	}
	changed, err := s.onDisk.changed(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.rewrite = true
	case err != nil:
		return err
	case changed:
		return errChanged
	}
	s.rewrite = s.rewrite || s.journal != nil && !s.journal.intact(s.path)
	return nil
}

// write rewrites the file, which ends the journal.
func (s *Store) write() error {
	written, err := replace(s.path, s.encode)
	if err != nil {
		return err
	}
	s.onDisk = written
	s.endJournal()
	s.rewrite, s.header = false, false
	return nil
}

func (s *Store) encode(w io.Writer) error {
	return encode(w, s.cp.Sweep, encodedLines(s.results), encodedLines(s.remeasured))
}

func (s *Store) endJournal() {
	if s.journal != nil {
		s.journal.file.Close()
		s.journal = nil
	}
}

// Fold writes the journal's contents into the checkpoint file and removes the journal.
func (s *Store) Fold() (err error) {
	if s.journal == nil {
		return nil
	}
	defer s.wrap(&err)
	if err := s.check(); err != nil {
		return err
	}
	return s.write()
}

// copyTo writes data to a file with the mode of the checkpoint's file.
func (s *Store) copyTo(name string, data []byte) error {
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	return renameio.WriteFile(name, data, info.Mode().Perm(), renameio.IgnoreUmask())
}

// checkWritable checks that the file can be saved, without saving it.
func (s *Store) checkWritable() (err error) {
	defer s.wrap(&err)
	if err := removeUnfinished(s.path); err != nil {
		return err
	}
	f, _, err := writeTemporary(s.path, s.encode)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Cleanup())
}

// wrap adds the checkpoint's path to an error of a save.
func (s *Store) wrap(err *error) {
	switch {
	case *err == nil:
	case s.folderGone():
		*err = fmt.Errorf("saving checkpoint %q: its folder is gone: %w", s.path, *err)
	case errors.Is(*err, errTaken), errors.Is(*err, errChanged):
		*err = fmt.Errorf("saving checkpoint %q: %w", s.path, *err)
	default:
		*err = fmt.Errorf("saving checkpoint %q: %w; what was saved before is intact", s.path, *err)
	}
}

// folderGone reports whether the checkpoint's folder no longer exists.
func (s *Store) folderGone() bool {
	info, err := os.Stat(filepath.Dir(s.path))
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !info.IsDir()
}

// CopyAside copies the checkpoint to a file with the time in its name, as -fresh would name it,
// and returns that name.
func (s *Store) CopyAside(now time.Time) (string, error) {
	name := asideName(s.path, now)
	var data bytes.Buffer
	err := s.encode(&data)
	if err == nil {
		err = s.copyTo(name, data.Bytes())
	}
	if err != nil {
		return "", fmt.Errorf("copying the checkpoint before replacing a cell: %w", err)
	}
	return name, nil
}

// DropDerived removes what was derived from a cell's old samples: the result of a search, and the
// confirmations and baseline measurements of the cell, with the other side of a baseline, whose
// number it returns. Reference and host cells are only compared among themselves, and stay. The
// change is saved with the next result.
func (s *Store) DropDerived(c cell.Key) (confirmations int) {
	s.SetAnswer(nil)
	remeasured, lines := s.cp.Auxiliary[:0], s.remeasured[:0]
	for i, r := range s.cp.Auxiliary {
		if r.Purpose == Confirm && r.Cell() == c || r.Purpose == Baseline && (r.Cell() == c || r.Cell() == c.Column()) {
			confirmations++
			continue
		}
		remeasured, lines = append(remeasured, r), append(lines, s.remeasured[i])
	}
	s.cp.Auxiliary, s.remeasured, s.rewrite = remeasured, lines, true
	return confirmations
}
