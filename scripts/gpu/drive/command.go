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

// savingTime is how long an interrupted command may take to save its results and end.
const savingTime = 6 * time.Second

// runGroup runs a command in its own process group. When the context ends it interrupts the group, and
// after savingTime kills it.
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

// end sends a signal to the process group of a command, and kills the group if the command has not ended
// after savingTime.
func end(cmd *exec.Cmd, done <-chan error, how syscall.Signal) {
	syscall.Kill(-cmd.Process.Pid, how)
	select {
	case <-done:
	case <-time.After(savingTime):
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
}

// logged runs a command and appends its output to a file.
func logged(ctx context.Context, cmd *exec.Cmd, file string) error {
	return appendTo(file, func(log io.Writer) error {
		cmd.Stdout, cmd.Stderr = log, log
		if err := runGroup(ctx, cmd); err != nil {
			return fmt.Errorf("%s: %w (see %s)", filepath.Base(cmd.Path), err, filepath.Base(file))
		}
		return nil
	})
}

// exitCode returns the exit code of a command from its error, or -1 if it did not start or was killed.
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

// save writes a file, and makes its folder if needed.
func save(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// appendTo appends to a file, and makes it and its folder if needed.
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
