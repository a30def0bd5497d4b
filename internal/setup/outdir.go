package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// checkDir refuses an out folder in which something else has the name of one of the sweep's files,
// before anything in it is touched.
func (b *Sweep) checkDir() (err error) {
	if err := checkAccess(b.config.Out); err != nil {
		return err
	}
	b.dir, err = checkpoint.OpenDir(b.config.Out)
	if err != nil && b.config.Fresh == checkpoint.FreshAlways { // which moves an unreadable checkpoint aside
		b.dir, err = outdir.Open(b.config.Out, checkpoint.FileName, func() error {
			_, err := os.Lstat(filepath.Join(b.config.Out, checkpoint.FileName))
			return err
		})
	}
	if _, absent := os.Lstat(filepath.Join(b.config.Out, checkpoint.FileName)); err != nil && absent == nil {
		return fmt.Errorf("%w; -fresh moves the checkpoint aside and starts anew", err)
	}
	if err != nil {
		return err
	}
	files := report.Files()
	if b.config.StartsServer() {
		files = append(files, ollamarun.EngineLog)
	} else {
		files = append(files, outdir.Models)
	}
	return b.dir.Check(files...)
}

// checkAccess refuses a folder in which another user has run a sweep: a sweep appends to some of the
// files, so it can't replace them.
func checkAccess(dir string) error {
	for _, name := range []string{checkpoint.LockFile, checkpoint.JournalName, outdir.RecordFile, outdir.Models, outdir.EngineLog} {
		if err := unix.Access(filepath.Join(dir, name), unix.R_OK|unix.W_OK); errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("out folder %q: this user can't write %s, probably because another user ran a sweep there: run the sweep as that user, or give the folder and its files to this one (chown -R)", dir, name)
		}
	}
	return nil
}

// claimDir starts the list of files in the out folder, and removes what a killed sweep left there.
func (b *Sweep) claimDir() error {
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
		fmt.Fprintln(b.log, "warning: "+text)
	}
	b.cleanup.add(func() error {
		_, err := b.dir.Clear() // files of an engine that was still ending
		return err
	})
	return err
}
