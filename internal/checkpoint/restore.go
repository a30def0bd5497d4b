package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Restore saves the results once more where the checkpoint was removed, or where another program has
// replaced it or its journal. It returns the file that it wrote, or nothing where the checkpoint is intact.
// That file is the checkpoint itself, in its folder, which is created if necessary; or, where that is not
// this sweep's any more, a file next to it with the time in its name. After an error nothing is on disk.
func (s *Store) Restore(now time.Time) (path string, err error) {
	if len(s.cp.Results)+len(s.cp.Auxiliary) == 0 || s.onDisk.info == nil && !s.folderGone() {
		return "", nil // nothing was saved yet
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
	s.rewrite = true
	return s.save()
}
