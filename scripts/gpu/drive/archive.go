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

// maxArchive is the maximum size of the archive in bytes.
const maxArchive = 15 << 20

// pack writes an archive of all files in a folder, and replaces an earlier one atomically. If the archive
// would have more than limit bytes, pack leaves out the largest files and returns their names.
func pack(dir, archive string, limit int64) (leftOut []string, err error) {
	files, err := filesBySize(dir)
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", dir, err)
	}
	// Not a random name, so that runs that are killed leave at most one such file.
	scratch := archive + ".new"
	for {
		size, err := packFiles(dir, files, scratch)
		if err != nil {
			return leftOut, errors.Join(fmt.Errorf("packing %s: %w", dir, err), os.Remove(scratch))
		}
		if size <= limit || len(files) == 0 {
			return leftOut, os.Rename(scratch, archive)
		}
		leftOut, files = append(leftOut, files[0]), files[1:]
	}
}

// filesBySize returns the relative paths of a folder's files, the largest first.
func filesBySize(dir string) (files []string, err error) {
	sizes := make(map[string]int64)
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return ignoreMissing(err)
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		name, err := filepath.Rel(dir, path)
		files, sizes[name] = append(files, name), info.Size()
		return err
	})
	slices.SortStableFunc(files, func(a, b string) int { return cmp.Compare(sizes[b], sizes[a]) })
	return files, err
}

// ignoreMissing returns nil for the error of a file that a running stage has removed meanwhile.
func ignoreMissing(err error) error {
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

// packFile adds the current content of a file, which may still be written.
func packFile(w *tar.Writer, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return ignoreMissing(err)
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

// copyExactly copies size bytes of a file that may grow or be truncated meanwhile, padded with zeros.
func copyExactly(w io.Writer, f io.Reader, size int64) error {
	_, err := io.CopyN(w, io.MultiReader(f, zeros{}), size)
	return err
}

// zeros is a reader of endless zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
