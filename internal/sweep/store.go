package sweep

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// Store keeps a sweep's checkpoint on disk while it grows. After each Put the
// file holds either all results up to it or, when saving failed, all up to the
// one before.
type Store struct {
	path string
	cp   *Checkpoint
	at   map[Cell]int // places in the checkpoint's results
	// results and remeasured are the lines that each entry takes in the file, so that a
	// save costs no more than the writing of what did not change.
	results, remeasured [][]byte
	// saved says that the file was there, from before or by a save.
	saved bool

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
	s := &Store{path: filepath.Join(dir, FileName), at: make(map[Cell]int)}
	if fresh {
		aside, err := PutAside(s.path, now)
		if err != nil {
			return nil, err
		}
		if aside != "" {
			s.Note = "the checkpoint that stood there is now " + aside
		}
	}
	if err := s.follow(); err != nil {
		return nil, err
	}
	cp, err := Load(s.path)
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
			return nil, fmt.Errorf("checkpoint %q belongs to another sweep: %s; use another -out folder, or start anew with -fresh, which keeps the file under another name", s.path, diff)
		}
		h.Started = cp.Sweep.Started
		h.Sizing = cp.Sweep.Sizing
		h.Warnings = cp.Sweep.Warnings
		if len(h.Devices) == 0 {
			h.Devices = cp.Sweep.Devices
		}
		if h.Settings == nil {
			h.Settings = cp.Sweep.Settings
		}
		if h.Strategy == cp.Sweep.Strategy {
			h.Search = cp.Sweep.Search
		}
	}
	cp.Sweep = h
	s.cp, s.saved = cp, err == nil
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

// follow has the store work on the file that a link names. A link to nothing is
// no sweep that has not begun: its disk may not be mounted.
func (s *Store) follow() error {
	info, err := os.Lstat(s.path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return nil // Load tells
	}
	target, err := filepath.EvalSymlinks(s.path)
	if err != nil {
		return fmt.Errorf("checkpoint %q is a link to a file that is not there (%w): mount its disk, or remove the link to begin anew", s.path, err)
	}
	s.path = target
	return nil
}

// PutAside gives a checkpoint's file a name with the time in it and returns that, or
// nothing where there is no file.
func PutAside(path string, now time.Time) (aside string, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	aside = asideName(path, now)
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("putting the checkpoint aside: %w", err)
	}
	return aside, nil
}

// asideName returns a checkpoint's name with the time in it, which no file has yet.
func asideName(path string, now time.Time) string {
	stem := strings.TrimSuffix(path, ".json") + now.Format("-20060102-150405.000")
	name := stem + ".json"
	for i := 2; ; i++ {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name
		}
		name = fmt.Sprintf("%s-%d.json", stem, i)
	}
}

func (s *Store) adoptOlder(cp *Checkpoint, h Header, now time.Time) error {
	if m := cp.Sweep.Model; m != "" && m != h.Model {
		return fmt.Errorf("checkpoint %q belongs to another sweep: model is %q there and %q here; use another -out folder", s.path, m, h.Model)
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return fmt.Errorf("reading checkpoint: %w", err)
	}
	kept := s.path[:len(s.path)-len(".json")] + "-older-tool" + now.Format("-20060102-150405") + ".json"
	if err := renameio.WriteFile(kept, data, 0o644); err != nil {
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
func (s *Store) Result(c Cell) (Result, bool) {
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
	return s.save()
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
	return s.save()
}

// Learn keeps what was learned of the prompt's length, which is saved with the
// next result.
func (s *Store) Learn(sizing Sizing) { s.cp.Sweep.Sizing = sizing }

// Warn keeps a warning about the machine, which is saved with the next result.
func (s *Store) Warn(text string) {
	if !slices.Contains(s.cp.Sweep.Warnings, text) {
		s.cp.Sweep.Warnings = append(s.cp.Sweep.Warnings, text)
	}
}

// Found keeps what a search has found, which is saved with the next result.
func (s *Store) Found(a *Answer) { s.cp.Sweep.Search = a }

// Save saves what is kept for the next result, where there will be none.
func (s *Store) Save() error { return s.save() }

// save replaces the file: a temporary file in the same folder, sync, rename,
// and a sync of the folder, without which a power cut can undo the rename.
func (s *Store) save() (err error) {
	defer s.named(&err)
	f, err := s.write()
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	s.saved = true
	d, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// try finds out whether the file could be saved, without doing it.
func (s *Store) try() (err error) {
	defer s.named(&err)
	f, err := s.write()
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
	default:
		*err = fmt.Errorf("saving checkpoint %q: %w; what was saved before is whole", s.path, *err)
	}
}

// folderGone reports whether the checkpoint's folder is not there any more.
func (s *Store) folderGone() bool {
	info, err := os.Stat(filepath.Dir(s.path))
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !info.IsDir()
}

// gone reports whether the file was removed since it was saved, alone or with its folder.
func (s *Store) gone() bool {
	if len(s.cp.Results)+len(s.cp.Remeasured) == 0 {
		return false // of nothing there is no file
	}
	_, err := os.Stat(s.path)
	return s.folderGone() || s.saved && errors.Is(err, fs.ErrNotExist)
}

// Restore writes the file again where it is gone, in a folder of the same name that it
// makes if need be, and reports whether it was gone. After an error nothing is on disk.
func (s *Store) Restore() (gone bool, err error) {
	if !s.gone() {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return true, fmt.Errorf("making the folder of checkpoint %q: %w", s.path, err)
	}
	return true, s.save()
}

// write returns a temporary file that holds all.
func (s *Store) write() (_ *renameio.PendingFile, err error) {
	f, err := renameio.NewPendingFile(s.path, renameio.WithTempDir(filepath.Dir(s.path)), renameio.WithPermissions(0o644))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Cleanup()
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := encode(w, s.cp.Sweep, kept(s.results), kept(s.remeasured)); err != nil {
		return nil, err
	}
	return f, w.Flush()
}
