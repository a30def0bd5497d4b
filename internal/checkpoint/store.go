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

// Store keeps a sweep's checkpoint on disk while it grows. After each Put the file and its
// journal hold either all results up to it or, when saving failed, all up to the one before.
type Store struct {
	// Lock, where it is not nil, has to be held when something is saved.
	Lock *Lock

	path string
	cp   *Checkpoint
	at   map[cell.Key]int // places in the checkpoint's results
	// results and remeasured are the lines that each entry takes in the file, so that writing it
	// costs no encoding of what did not change.
	results, remeasured [][]byte

	onDisk  stamp    // the file as it was read or written last
	journal *journal // what was saved since, nil for nothing
	whole   bool     // the next save has to write the file anew: the journal can't hold what changed
	header  bool     // the header has changed since it was saved

	// Note says what became of an existing file, for the user; empty when there
	// is nothing to say.
	Note string
}

// OpenStore reads the checkpoint in the folder, or begins one. A file that
// belongs to another sweep than the header's is refused and left as it is. An
// older tool's is copied beside itself before the sweep goes on in this form.
// With fresh an existing file is put aside under a name with the time in it. A
// link stays one, and the file that it names is the checkpoint. A folder that
// can't take the file is an error before anything is measured.
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
			s.Note = "the checkpoint that stood there is now " + aside
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
		cp = &Checkpoint{Version: Version}
	case err != nil:
		return nil, fmt.Errorf("%w; mend or move the file, or start anew with -fresh, which keeps it under another name", err)
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
		h.keepKnown(cp.Sweep)
		if h.Strategy == cp.Sweep.Strategy {
			h.Search = cp.Sweep.Search
		}
	}
	cp.Sweep = h
	s.cp, s.onDisk, s.whole = cp, onDisk, true // the header may be another, and a journal ends with the next save
	if s.results, err = linesOf("result", cp.Results).all(); err != nil {
		return nil, err
	}
	if s.remeasured, err = linesOf("remeasured", cp.Remeasured).all(); err != nil {
		return nil, err
	}
	for i := range cp.Results {
		s.at[cp.Results[i].Cell()] = i
	}
	return s, s.try()
}

// PutAside gives a checkpoint's file and its journal names with the time in them and returns the
// file's, or nothing where there is neither.
func PutAside(path string, now time.Time) (aside string, err error) {
	aside = asideName(path, now)
	moved := false
	for _, names := range [][2]string{{path, aside}, {JournalOf(path), JournalOf(aside)}} {
		err := os.Rename(names[0], names[1])
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("putting the checkpoint aside: %w", err)
		}
		moved = moved || err == nil
	}
	if !moved {
		return "", nil
	}
	return aside, nil
}

// asideName returns a checkpoint's name with the time in it, which no file has yet.
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
	s.Note = "the checkpoint is an older tool's: its cells count, and the file is kept as " + kept
	for i := range cp.Results {
		cp.Results[i].Warnings = append(cp.Results[i].Warnings, "from an older tool's file: one prompt, not checked")
	}
	cp.OlderTool = false
	return nil
}

// Path returns the checkpoint's file name.
func (s *Store) Path() string { return s.path }

// Checkpoint returns what the file holds. It belongs to the store.
func (s *Store) Checkpoint() *Checkpoint { return s.cp }

// Result returns a copy of what is known of the cell, and false when nothing is.
func (s *Store) Result(c cell.Key) (Result, bool) {
	i, ok := s.at[c]
	if !ok {
		return Result{}, false
	}
	return s.cp.Results[i], true
}

// Put adds the result of its cell, or takes the place of the one that stands,
// and saves the file.
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

// Remeasure adds what was measured beside the plan, or takes the place of the
// newest entry where that is the same load with fewer samples, and saves the
// file.
func (s *Store) Remeasure(r Remeasured, more bool) error {
	line, err := json.Marshal(&r)
	if err != nil {
		return fmt.Errorf("encoding %s %v: %w", r.Purpose, r.Cell(), err)
	}
	if !more {
		s.remeasured = append(s.remeasured, nil)
		s.cp.Remeasured = append(s.cp.Remeasured, Remeasured{})
	}
	i := len(s.cp.Remeasured) - 1
	s.remeasured[i], s.cp.Remeasured[i] = line, r
	return s.save(fmt.Appendf(nil, `{"at":%d,"remeasured":%s}`, i, line))
}

// Learn keeps what was learned of the prompt's length, which is saved with the
// next result.
func (s *Store) Learn(sizing Sizing) { s.cp.Sweep.Sizing, s.header = sizing, true }

// Told keeps what a server's log has told since the sweep began, which is saved with the next
// result.
func (s *Store) Told(h Header) {
	s.cp.Sweep.Devices, s.cp.Sweep.Settings, s.header = h.Devices, h.Settings, true
}

// Attends keeps how a load attended, where no earlier one told, to be saved with the next result.
func (s *Store) Attends(how string) {
	s.cp.Sweep.Attention, s.header = cmp.Or(s.cp.Sweep.Attention, how), true
}

// Warn keeps a warning about the machine, which is saved with the next result.
func (s *Store) Warn(text string) {
	if !slices.Contains(s.cp.Sweep.Warnings, text) {
		s.cp.Sweep.Warnings, s.header = append(s.cp.Sweep.Warnings, text), true
	}
}

// Found keeps what a search has found, which is saved with the next result.
func (s *Store) Found(a *Answer) { s.cp.Sweep.Search, s.header = a, true }

// Save saves what is kept for the next result, where there will be none.
func (s *Store) Save() error { return s.save() }

// A checkpoint of up to smallFile bytes, which are some hundred cells, is written anew with each
// save. A larger one has a journal, up to the journalPart-th part of its size: so each byte is written
// some six times, however many cells there are.
const (
	smallFile   = 64 << 10
	journalPart = 4
)

// save saves the entries, lines of a journal, and the header where it has changed.
func (s *Store) save(entries ...[]byte) (err error) {
	defer func() {
		s.whole = s.whole || err != nil
		s.named(&err)
	}()
	if err := s.check(); err != nil {
		return err
	}
	if s.whole || s.onDisk.info.Size() < smallFile || s.journal != nil && s.journal.size > s.onDisk.info.Size()/journalPart {
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

// errChanged says that the checkpoint is not the one that was saved.
var errChanged = errors.New("something else has changed it since this sweep saved it")

// check returns an error where a save would replace what is not this sweep's: the file that
// another has written. One that was removed is written again.
func (s *Store) check() error {
	if err := s.Lock.check(); err != nil {
		return err
	}
	changed, err := s.onDisk.changed(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.whole = true
	case err != nil:
		return err
	case changed:
		return errChanged
	}
	s.whole = s.whole || s.journal != nil && !s.journal.intact(s.path)
	return nil
}

// write writes the file anew, which ends the journal.
func (s *Store) write() error {
	written, err := replace(s.path, s.encode)
	if err != nil {
		return err
	}
	s.onDisk = written
	s.endJournal()
	s.whole, s.header = false, false
	return nil
}

func (s *Store) encode(w io.Writer) error {
	return encode(w, s.cp.Sweep, kept(s.results), kept(s.remeasured))
}

func (s *Store) endJournal() {
	if s.journal != nil {
		s.journal.file.Close()
		s.journal = nil
	}
}

// Fold writes what the journal holds into the checkpoint file, so that the file alone has all.
func (s *Store) Fold() (err error) {
	if s.journal == nil {
		return nil
	}
	defer s.named(&err)
	if err := s.check(); err != nil {
		return err
	}
	return s.write()
}

// copyTo writes a copy of the checkpoint's data, with the mode that its file has.
func (s *Store) copyTo(name string, data []byte) error {
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	return renameio.WriteFile(name, data, info.Mode().Perm(), renameio.IgnoreUmask())
}

// try finds out whether the file could be saved, without doing it.
func (s *Store) try() (err error) {
	defer s.named(&err)
	if err := removeUnfinished(s.path); err != nil {
		return err
	}
	f, _, err := writeBeside(s.path, s.encode)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Cleanup())
}

func (s *Store) named(err *error) {
	switch {
	case *err == nil:
	case s.folderGone():
		*err = fmt.Errorf("saving checkpoint %q: its folder is gone: %w", s.path, *err)
	case errors.Is(*err, errTaken), errors.Is(*err, errChanged):
		*err = fmt.Errorf("saving checkpoint %q: %w", s.path, *err)
	default:
		*err = fmt.Errorf("saving checkpoint %q: %w; what was saved before is whole", s.path, *err)
	}
}

// folderGone reports whether the checkpoint's folder is not there any more.
func (s *Store) folderGone() bool {
	info, err := os.Stat(filepath.Dir(s.path))
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !info.IsDir()
}

// CopyAside copies the file to a name with the time in it, as -fresh would give it, and
// returns that.
func (s *Store) CopyAside(now time.Time) (string, error) {
	name := asideName(s.path, now)
	var data bytes.Buffer
	err := s.encode(&data)
	if err == nil {
		err = s.copyTo(name, data.Bytes())
	}
	if err != nil {
		return "", fmt.Errorf("copying the checkpoint before a cell of it is replaced: %w", err)
	}
	return name, nil
}

// Forget removes what rests on a cell's old samples and counts with its new ones: what a
// search has found, and what was measured again of it in turns with others, the other side of a
// baseline among it, whose number it returns. A reference and a host's cells are compared among
// themselves and stay. The change is saved with the next result.
func (s *Store) Forget(c cell.Key) (confirmations int) {
	s.Found(nil)
	remeasured, lines := s.cp.Remeasured[:0], s.remeasured[:0]
	for i, r := range s.cp.Remeasured {
		if r.Purpose == Confirm && r.Cell() == c || r.Purpose == Baseline && (r.Cell() == c || r.Cell() == cell.Key{Ctx: c.Ctx}) {
			confirmations++
			continue
		}
		remeasured, lines = append(remeasured, r), append(lines, s.remeasured[i])
	}
	s.cp.Remeasured, s.remeasured, s.whole = remeasured, lines, true
	return confirmations
}
