package parse_test

import (
	"fmt"

	"github.com/ollama-sweep/ollama-sweep/parse"
)

// The summary that `ollama run --verbose` prints at its end.
func ExampleSummary() {
	sample, err := parse.Summary([]byte(`total duration:       2.517936042s
load duration:        1.018402417s
prompt eval count:    7000 token(s)
prompt eval duration: 1.4s
prompt eval rate:     5000.00 tokens/s
eval count:           2 token(s)
eval duration:        50ms
eval rate:            40.00 tokens/s
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	rate, _ := sample.PromptEvalRate()
	fmt.Printf("%.0f tokens/s of %d tokens\n", rate, sample.PromptEvalCount)
	// Output: 5000 tokens/s of 7000 tokens
}

func ExampleClassify() {
	class := parse.Classify("llama runner process has terminated: cudaMalloc failed: out of memory")
	fmt.Println(class, class.Short(), class.Prunes())
	// Output: CUDA OOM OOM true
}

// The line with which Ollama 0.30 and later begins a load.
func ExampleServerLog() {
	effective, ok := parse.ServerLog([]byte(`time=2026-10-01T10:00:00.000Z level=INFO source=server.go:432 msg="starting llama-server" cmd="/usr/lib/ollama/llama-server --model /m/blobs/sha256-0 -c 8192 -np 1 -b 512 -ub 512"` + "\n"))
	fmt.Println(effective.NumCtx, effective.NumBatch, effective.Parallel, ok)
	// Output: 8192 512 1 true
}
