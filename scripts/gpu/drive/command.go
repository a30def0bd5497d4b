package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// saving is how long a command may take to save and end, once it was interrupted.
const saving = 6 * time.Second

// runGroup runs a command in a process group of its own, which it interrupts when the context
// ends, and kills where it has not ended after saving.
func runGroup(ctx context.Context, cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		end(cmd, done, syscall.SIGINT)
		return context.Cause(ctx)
	}
}

// end asks a command that runGroup or startServer began to end, and kills its group where it does
// not.
func end(cmd *exec.Cmd, done <-chan error, how syscall.Signal) {
	syscall.Kill(-cmd.Process.Pid, how)
	select {
	case <-done:
	case <-time.After(saving):
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
}

// logged runs a command whose output is added to a file.
func logged(ctx context.Context, cmd *exec.Cmd, file string) error {
	return appendTo(file, func(log io.Writer) error {
		cmd.Stdout, cmd.Stderr = log, log
		if err := runGroup(ctx, cmd); err != nil {
			return fmt.Errorf("%s: %w (see %s)", filepath.Base(cmd.Path), err, filepath.Base(file))
		}
		return nil
	})
}

// exitCode is that of a command that ended, -1 of one that did not begin or was killed.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// keep writes a file of the record.
func keep(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// appendTo adds to a file of the record.
func appendTo(file string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
