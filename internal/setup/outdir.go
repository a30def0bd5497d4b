package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// checkDir refuses an out folder that holds what is not ours under our names, before anything
// in it is touched.
func (b *Session) checkDir() (err error) {
	if err := checkAccess(b.config.Out); err != nil {
		return err
	}
	b.dir, err = checkpoint.OpenDir(b.config.Out)
	if err != nil && b.config.Fresh == checkpoint.FreshAlways { // which puts aside what can't be read
		b.dir, err = outdir.Open(b.config.Out, checkpoint.FileName, func() error {
			_, err := os.Lstat(filepath.Join(b.config.Out, checkpoint.FileName))
			return err
		})
	}
	if _, absent := os.Lstat(filepath.Join(b.config.Out, checkpoint.FileName)); err != nil && absent == nil {
		return fmt.Errorf("%w; -fresh keeps a checkpoint under another name and begins anew", err)
	}
	if err != nil {
		return err
	}
	files := report.Files()
	if b.config.Engine == config.EngineEmbedded {
		files = append(files, ollamarun.EngineLog)
	} else {
		files = append(files, outdir.Models)
	}
	return b.dir.Check(files...)
}

// checkAccess refuses a folder in which another user has swept: some files there are added to, and
// not replaced.
func checkAccess(dir string) error {
	for _, name := range []string{checkpoint.LockFile, checkpoint.JournalName, outdir.RecordFile, outdir.Models, outdir.EngineLog} {
		if err := unix.Access(filepath.Join(dir, name), unix.R_OK|unix.W_OK); errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("out folder %q: this user can't write %s, which is so where another one ran a sweep there: run this one as that user, or make the folder and its files this user's (chown -R)", dir, name)
		}
	}
	return nil
}

// claimDir begins the record of the out folder and removes what a killed sweep left there.
func (b *Session) claimDir() error {
	if b.dir.Claimed() {
		if err := clearSaves(b.config.Out); err != nil {
			return err
		}
	}
	if err := b.dir.Claim(); err != nil {
		return err
	}
	left, err := b.dir.Clear()
	for _, text := range left {
		fmt.Fprintln(b.say, "warning: "+text)
	}
	b.atEnd(func() error {
		_, err := b.dir.Clear() // of an engine that was still ending
		return err
	})
	return err
}
