package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// allLayers is a num_gpu that puts all layers on the GPU.
const allLayers = 999

// failureCase is a load that is expected to fail, or to spill to the CPU.
type failureCase struct {
	name   string
	numCtx int
	forced bool // requests all layers on the GPU
}

// caseLimit is how long a case may take.
const caseLimit = 30 * time.Second

// failures makes loads spill and fail, and saves what the server answers then, unchanged: over the API,
// with the command, in the log and in the list of loaded models.
func (d *drive) failures(ctx context.Context) (headlines []string, err error) {
	if err := d.server.ready(ctx, flashOwn); err != nil {
		return nil, err
	}
	f := d.figures.failures
	holder, err := d.buildHolder(ctx)
	if err != nil {
		return nil, err
	}
	headlines = d.runCase(ctx, failureCase{"fits", f.numCtx, false})
	for _, held := range []struct {
		name string
		mib  int
		run  func() ([]string, error)
	}{
		{"none", f.none, func() ([]string, error) { return d.unforcedAndForced(ctx, "none"), nil }},
		{"part", f.part, func() ([]string, error) { return d.unforcedAndForced(ctx, "part"), nil }},
		{"part, a sweep", f.part, func() ([]string, error) { return d.sweep(ctx, "failing", 1) }},
	} {
		if ctx.Err() != nil {
			return headlines, context.Cause(ctx)
		}
		free, release, err := hold(ctx, holder, held.mib)
		if err != nil {
			return headlines, err
		}
		text, err := held.run()
		release()
		headlines = append(append(headlines, fmt.Sprintf("%s: %s MiB of GPU memory free", held.name, free)), text...)
		if err != nil {
			return headlines, err
		}
	}
	return headlines, nil
}

// unforcedAndForced runs a case with the layers that the server chooses, and with all layers on the GPU.
func (d *drive) unforcedAndForced(ctx context.Context, name string) []string {
	numCtx := d.figures.failures.numCtx
	return append(d.runCase(ctx, failureCase{name, numCtx, false}), d.runCase(ctx, failureCase{name + "-forced", numCtx, true})...)
}

// runCase runs a case over the API and with the command. It returns errors as headlines, since failures
// are the purpose of a case.
func (d *drive) runCase(ctx context.Context, f failureCase) (headlines []string) {
	for _, way := range []struct {
		via string
		run func(context.Context, failureCase) (string, error)
	}{{"api", d.overAPI}, {"command", d.byCommand}} {
		within, cancel := context.WithTimeout(ctx, caseLimit)
		text, err := d.withServerLog(f.name+"-"+way.via, func() (string, error) { return way.run(within, f) })
		cancel()
		if err != nil {
			text = strings.TrimPrefix(text+"; "+err.Error(), "; ")
		}
		headlines = append(headlines, fmt.Sprintf("%s, %s: %s", f.name, way.via, text))
	}
	return headlines
}

// withServerLog runs a case, and saves the lines that the server logs meanwhile.
func (d *drive) withServerLog(name string, run func() (string, error)) (text string, err error) {
	log, err := ollamarun.OpenServerLog(d.server.log)
	if err != nil {
		return "", err
	}
	text, err = run()
	part, logErr := log.Since()
	return text, errors.Join(err, logErr, save(d.in("failures", name, "server.log"), part))
}

func (f failureCase) options(options map[string]any) map[string]any {
	options["num_ctx"], options["num_predict"] = f.numCtx, 1
	if f.forced {
		options["num_gpu"] = allLayers
	}
	return options
}

// overAPI sends a prompt, and saves the answer with its header and the list of loaded models.
func (d *drive) overAPI(ctx context.Context, f failureCase) (string, error) {
	figures := d.figures.failures
	request, err := json.Marshal(map[string]any{
		"model": modelF16, "prompt": strings.Repeat("a", figures.tokens), "raw": true, "stream": false,
		"options": f.options(map[string]any{"num_batch": figures.numBatch}),
	})
	if err != nil {
		return "", err
	}
	dir := f.name + "-api"
	if err := save(d.in("failures", dir, "request.json"), request); err != nil {
		return "", err
	}
	status, body, raw, err := exchange(ctx, http.MethodPost, d.server.url.JoinPath("/api/generate").String(), request)
	if err != nil {
		return "", err
	}
	_, loaded, rawLoaded, psErr := exchange(ctx, http.MethodGet, d.server.url.JoinPath("/api/ps").String(), nil)
	err = errors.Join(psErr, save(d.in("failures", dir, "generate.http"), raw), save(d.in("failures", dir, "ps.http"), rawLoaded))
	return describe(status, body, loaded), errors.Join(err, unload(ctx, d.server.client()))
}

// exchange sends a request, and returns the answer's status and body, and header and body as received.
func exchange(ctx context.Context, method, url string, body []byte) (status int, text, raw []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	header, err := httputil.DumpResponse(answer, false)
	if err != nil {
		return 0, nil, nil, err
	}
	text, err = io.ReadAll(answer.Body)
	return answer.StatusCode, text, append(header, text...), err
}

// describe summarizes an answer, with the failure class of an error, and the list of loaded models.
func describe(status int, body, loaded []byte) string {
	var answer struct {
		Error string
		api.GenerateResponse
	}
	var list api.ProcessResponse
	json.Unmarshal(body, &answer) // what is not JSON has no fields to report
	json.Unmarshal(loaded, &list)
	text := "status " + strconv.Itoa(status)
	if answer.Error != "" {
		text += fmt.Sprintf(", %s: %s", parse.ClassifyAnswer(status, answer.Error), parse.Message(answer.Error))
	} else if answer.PromptEvalDuration > 0 {
		text += fmt.Sprintf(", %.1f tokens/s", float64(answer.PromptEvalCount)/answer.PromptEvalDuration.Seconds())
	}
	for _, m := range list.Models {
		text += fmt.Sprintf("; loaded: %.0f MiB, %.0f in GPU memory, context %d", mib(m.Size), mib(m.SizeVRAM), m.ContextLength)
	}
	return text
}

// byCommand runs a prompt with the ollama command, and saves its output.
func (d *drive) byCommand(ctx context.Context, f failureCase) (text string, err error) {
	const name = "random-failure"
	client := d.server.client()
	request := &api.CreateRequest{Model: name, From: modelF16, Parameters: f.options(map[string]any{"num_batch": d.figures.failures.numBatch})}
	if err := client.Create(ctx, request, func(api.ProgressResponse) error { return nil }); err != nil {
		return "", err
	}
	cmd := exec.Command(d.server.ollama, "run", "--verbose", name, strings.Repeat("a", d.figures.failures.tokens))
	cmd.Env = d.server.environment(d.server.flash)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	code := exitCode(runGroup(ctx, cmd))
	dir := f.name + "-command"
	err = errors.Join(save(d.in("failures", dir, "run.stdout"), stdout.Bytes()), save(d.in("failures", dir, "run.stderr"), stderr.Bytes()),
		save(d.in("failures", dir, "run.exit"), fmt.Appendln(nil, code)))
	if _, _, raw, psErr := exchange(ctx, http.MethodGet, d.server.url.JoinPath("/api/ps").String(), nil); psErr == nil {
		err = errors.Join(err, save(d.in("failures", dir, "ps.http"), raw))
	}
	text = "exit " + strconv.Itoa(code)
	if message := parse.ErrorText(stderr.Bytes()); code != 0 {
		text += fmt.Sprintf(", %s: %s", parse.Classify(message), message)
	}
	return text, errors.Join(err, unload(ctx, client), client.Delete(ctx, &api.DeleteRequest{Model: name}))
}
