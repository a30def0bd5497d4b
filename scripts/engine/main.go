// Command engine writes the model of the embedded engine: a GGUF file of 2 MB
// whose weights are random, the same bytes every time.
//
// Its module is apart from the project's own because it pins the Ollama that
// the embedded engine is built from, with all that it needs:
//
//	go build -o ollama github.com/ollama/ollama
//	go run . -o tiny.gguf
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	file := flag.String("o", "tiny.gguf", "`file` to write")
	flag.Parse()
	if err := write(*file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("creating the model: %w", err)
	}
	defer f.Close()
	if err := writeTiny(f); err != nil {
		return fmt.Errorf("writing the model %s: %w", file, err)
	}
	return f.Close()
}
