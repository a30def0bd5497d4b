package main

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// mostArchive is how large an archive may become.
const mostArchive = 15 << 20

// pack puts all files of a folder into an archive, which takes the place of the one before at
// once and whole. Of an archive that is too large it leaves out the largest files, and names them.
func pack(dir, archive string, most int64) (leftOut []string, err error) {
	files, err := filesBySize(dir)
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", dir, err)
	}
	// No name of chance: of runs that are killed one such file is left at most.
	scratch := archive + ".new"
	for {
		size, err := packFiles(dir, files, scratch)
		if err != nil {
			return leftOut, errors.Join(fmt.Errorf("packing %s: %w", dir, err), os.Remove(scratch))
		}
		if size <= most || len(files) == 0 {
			return leftOut, os.Rename(scratch, archive)
		}
		leftOut, files = append(leftOut, files[0]), files[1:]
	}
}

// filesBySize returns the folder's files by their paths in it, the largest first.
func filesBySize(dir string) (files []string, err error) {
	sizes := make(map[string]int64)
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return gone(err)
		}
		info, err := entry.Info()
		if err != nil {
			return gone(err)
		}
		name, err := filepath.Rel(dir, path)
		files, sizes[name] = append(files, name), info.Size()
		return err
	})
	slices.SortStableFunc(files, func(a, b string) int { return cmp.Compare(sizes[b], sizes[a]) })
	return files, err
}

// gone passes over a file that was removed meanwhile, by a stage that is at work.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func packFiles(dir string, files []string, archive string) (size int64, err error) {
	f, err := os.Create(archive)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	zip := gzip.NewWriter(f)
	w := tar.NewWriter(zip)
	for _, name := range slices.Sorted(slices.Values(files)) {
		if err := packFile(w, dir, name); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(w.Close(), zip.Close(), f.Sync()); err != nil {
		return 0, err
	}
	return f.Seek(0, io.SeekCurrent)
}

// packFile adds a file as far as it has been written by now.
func packFile(w *tar.Writer, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return gone(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: info.Size(), ModTime: info.ModTime()}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	return copyExactly(w, f, info.Size())
}

// copyExactly copies so many bytes of a file that may grow or be cut meanwhile.
func copyExactly(w io.Writer, f io.Reader, size int64) error {
	_, err := io.CopyN(w, io.MultiReader(f, zeros{}), size)
	return err
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
