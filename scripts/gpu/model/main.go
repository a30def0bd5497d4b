// Command model writes a GGUF model of realistic size with random weights, for measurements of
// speed:
//
//	go run ./scripts/gpu/model -o big.gguf             # 1.5 billion weights, 3 GB
//	go run ./scripts/gpu/model -o big.gguf -type q8_0  # the same shape, 1.6 GB
//	go run ./scripts/gpu/model -models DIR -name big   # as model big in a server's model folder
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/ollama-sweep/ollama-sweep/internal/arguments"
	"github.com/ollama-sweep/ollama-sweep/internal/randommodel"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run runs the command and returns its exit code: 2 for invalid arguments, 1 for other errors.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("model", flag.ContinueOnError)
	file := flags.String("o", "", "`file` to write")
	models := flags.String("models", "", "model `folder` of a server to write the model and its manifest into")
	name := flags.String("name", "", "`name` of the model there")
	threads := flags.Int("num-thread", 0, "`num_thread` of the model there (default: chosen by the server)")
	kind := randommodel.F16
	flags.Func("type", "`type` of the matrices, f16 or q8_0 (default f16)", func(text string) (err error) {
		kind, err = randommodel.ParseType(text)
		return err
	})
	s := randommodel.Large
	s.Register(flags)
	if code, ok := arguments.Parse(flags, args, stdout, stderr, "go run ./scripts/gpu/model -h"); !ok {
		return code
	}
	err := s.Check()
	if (*file == "") == (*models == "") || (*models == "") != (*name == "") {
		err = errors.New("use either -o FILE, or -models FOLDER and -name NAME")
	}
	if err != nil {
		fmt.Fprintln(stderr, "model:", err)
		return 2
	}
	if *models != "" {
		var parameters map[string]any
		if *threads > 0 {
			parameters = map[string]any{"num_thread": *threads}
		}
		err = randommodel.Install(*models, *name, s, kind, parameters)
	} else {
		var digest string
		if digest, err = randommodel.Write(*file, s, kind); err == nil {
			fmt.Fprintln(stdout, "sha256:"+digest)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "model:", err)
		return 1
	}
	return 0
}
