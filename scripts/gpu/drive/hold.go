package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

//go:embed hold.cu
var holdSource []byte

// buildHolder compiles the program that allocates GPU memory.
func (d *drive) buildHolder(ctx context.Context) (program string, err error) {
	source := filepath.Join(d.work, "hold.cu")
	if err := os.WriteFile(source, holdSource, 0o644); err != nil {
		return "", err
	}
	compiler, err := exec.LookPath("nvcc")
	if err != nil {
		compiler = "/usr/local/cuda/bin/nvcc"
	}
	program = filepath.Join(d.work, "hold")
	return program, logged(ctx, exec.Command(compiler, "-o", program, source), d.in("logs", "hold.txt"))
}

// hold allocates GPU memory until only this many MiB are free, and returns how many are. release frees
// the memory.
func hold(ctx context.Context, program string, mib int) (free string, release func(), err error) {
	cmd := exec.Command(program, strconv.Itoa(mib))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	release = func() {
		input.Close()
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		cmd.Wait()
	}
	printed := make(chan error, 1)
	var line string
	go func() {
		var err error
		line, err = bufio.NewReader(output).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s ended at once", filepath.Base(program))
		}
		printed <- err
	}()
	select {
	case err = <-printed:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		release()
		return "", nil, fmt.Errorf("holding GPU memory: %w", err)
	}
	return strings.TrimSpace(line), release, nil
}
