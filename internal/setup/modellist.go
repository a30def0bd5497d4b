package setup

import (
	"bytes"
	"fmt"
	"os"
	"syscall"

	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
)

// modelList keeps the names of temporary models in the out folder (see ollamarun.ModelList). Its file begins
// with the inode number of the folder in which it was written:
//
//	folder 1835023
//	ollama-sweep-tmp-1f3a9c07d2e4-4711-88123-1 http://127.0.0.1:11434
//
// A file from a copied folder is ignored: the copy has another lock, so the sweep of the original
// folder may still run.
type modelList struct{ dir *outdir.Dir }

func (m modelList) Read() ([]byte, error) {
	data, err := m.dir.Read(outdir.Models)
	if err != nil {
		return nil, err
	}
	title, err := m.title()
	if err != nil {
		return nil, err
	}
	names, ours := bytes.CutPrefix(data, title)
	if !ours {
		return nil, nil
	}
	return names, nil
}

func (m modelList) Write(data []byte) error {
	if len(data) == 0 {
		return m.dir.Remove(outdir.Models)
	}
	title, err := m.title()
	if err != nil {
		return err
	}
	return m.dir.WritePrivate(outdir.Models, append(title, data...))
}

func (m modelList) title() ([]byte, error) {
	info, err := os.Stat(m.dir.Path())
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("the inode number of folder %q is not known", m.dir.Path())
	}
	return fmt.Appendf(nil, "folder %d\n", stat.Ino), nil
}
