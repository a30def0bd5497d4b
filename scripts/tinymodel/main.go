// Command tinymodel writes the embedded engine's model to a file, to create it on your own
// Ollama:
//
//	go run ./scripts/tinymodel -o tiny.gguf
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/ollama-sweep/ollama-sweep/internal/tinymodel"
)

func main() {
	file := flag.String("o", "tiny.gguf", "`file` to write")
	flag.Parse()
	if err := tinymodel.Write(*file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
