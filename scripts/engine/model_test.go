package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The model is part of a checkpoint's identity, so its bytes must not change
// from run to run or from machine to machine.
const want = "28ac1434608a51b8b6133e8e07abde8214b6ec135ea215144ac3ab527e99868d"

func TestModelIsTheSameEveryTime(t *testing.T) {
	for range 2 {
		file := filepath.Join(t.TempDir(), "tiny.gguf")
		if err := write(file); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != want {
			t.Fatalf("sha256 is %s, not %s", got, want)
		}
	}
}

func TestWriteNamesTheFile(t *testing.T) {
	if err := write(filepath.Join(t.TempDir(), "nowhere", "x")); err == nil {
		t.Fatal("no error")
	}
}
