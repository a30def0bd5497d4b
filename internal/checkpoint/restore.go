package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Restore writes what was measured again where the checkpoint is gone, or somebody else's now as its
// journal may be, and returns the file that it wrote; nothing where the checkpoint is in its place. The file is
// the checkpoint, in a folder of the same name that is made if need be, or else one beside it
// whose name has the time in it. After an error nothing is on disk.
func (s *Store) Restore(now time.Time) (path string, err error) {
	if len(s.cp.Results)+len(s.cp.Remeasured) == 0 || s.onDisk.info == nil && !s.folderGone() {
		return "", nil // there is nothing to lose
	}
	if s.folderGone() {
		return s.path, s.restoreInPlace()
	}
	switch err = s.check(); {
	case err == nil && !exists(s.path):
		return s.path, s.restoreInPlace()
	case err == nil && (s.journal == nil || s.journal.intact(s.path)):
		return "", nil
	}
	path = asideName(s.path, now)
	_, err = replace(path, s.encode)
	return path, err
}

func (s *Store) restoreInPlace() error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return fmt.Errorf("making the folder of checkpoint %q: %w", s.path, err)
	}
	s.whole = true
	return s.save()
}
