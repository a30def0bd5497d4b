package ollamarun_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// A cell is one load of the model, and then prompts that each begin in a way of their own, so
// that the server evaluates them whole.
func ExampleNewAPI() {
	ctx := context.Background()
	host, user, err := ollamarun.ParseHost(os.Getenv("OLLAMA_HOST"))
	if err != nil {
		log.Fatal(err)
	}
	server := &ollamarun.Server{URL: host, User: user}
	runner, err := ollamarun.NewAPI(ctx, server, "llama3.1:8b", nil, 2)
	if err != nil {
		log.Fatal(err)
	}
	defer runner.Close(ctx)
	if _, err := runner.Load(ctx, 8192, 512, func() string { return "warm up" }); err != nil {
		log.Fatal(err)
	}
	for n := range 3 {
		sample, err := runner.Sample(ctx, func() string { return fmt.Sprint(n, strings.Repeat(" word", 7000)) })
		if err != nil {
			log.Fatal(err)
		}
		if rate, ok := sample.PromptEvalRate(); ok {
			fmt.Printf("%.1f tokens/s\n", rate)
		}
	}
}

func ExampleParseHost() {
	for _, host := range []string{"", "gpu-box", ":8080", "https://user:secret@example.com"} {
		address, user, err := ollamarun.ParseHost(host)
		fmt.Println(address, user != nil, err)
	}
	// Output:
	// http://127.0.0.1:11434 false <nil>
	// http://gpu-box:11434 false <nil>
	// http://127.0.0.1:8080 false <nil>
	// https://example.com:443 true <nil>
}
