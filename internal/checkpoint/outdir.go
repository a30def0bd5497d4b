package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
)

// OpenDir opens an out folder, for the files in it other than the checkpoint, and changes
// nothing there. A checkpoint that can't be read is an error: it may be another program's file.
func OpenDir(dir string) (*outdir.Dir, error) {
	return outdir.Open(dir, FileName, func() error {
		_, err := Load(filepath.Join(dir, FileName))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w; repair or move the file, or name another folder with -out", err)
		}
		return err
	})
}
