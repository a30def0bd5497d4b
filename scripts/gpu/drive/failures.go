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

// allLayers is a num_gpu that asks for all layers on the GPU.
const allLayers = 999

// failure is a load that is to fail, or to spill to the CPU.
type failure struct {
	name   string
	numCtx int
	forced bool // all layers are to be on the GPU
}

// caseLimit is how long one may take.
const caseLimit = 30 * time.Second

// fail has loads spill and fail, and keeps what the server says then, byte by byte: over the API, by
// the command, in the log and in the list of what is loaded.
func (d *drive) fail(ctx context.Context) (headlines []string, err error) {
	if err := d.server.ready(ctx, flashOwn); err != nil {
		return nil, err
	}
	f := d.figures.failures
	holder, err := d.buildHolder(ctx)
	if err != nil {
		return nil, err
	}
	headlines = d.failure(ctx, failure{"fits", f.numCtx, false})
	for _, held := range []struct {
		name string
		mib  int
		play func() ([]string, error)
	}{
		{"part", f.part, func() ([]string, error) { return d.unforcedAndForced(ctx, "part"), nil }},
		{"none", f.none, func() ([]string, error) { return d.unforcedAndForced(ctx, "none"), nil }},
		{"part, a sweep", f.part, func() ([]string, error) { return d.sweep(ctx, "failing", 1) }},
	} {
		if ctx.Err() != nil {
			return headlines, context.Cause(ctx)
		}
		free, release, err := hold(ctx, holder, held.mib)
		if err != nil {
			return headlines, err
		}
		text, err := held.play()
		release()
		headlines = append(append(headlines, fmt.Sprintf("%s: %s MiB of GPU memory free", held.name, free)), text...)
		if err != nil {
			return headlines, err
		}
	}
	return headlines, nil
}

// unforcedAndForced plays a case as the server would have it, and with all layers on the GPU.
func (d *drive) unforcedAndForced(ctx context.Context, name string) []string {
	numCtx := d.figures.failures.numCtx
	return append(d.failure(ctx, failure{name, numCtx, false}), d.failure(ctx, failure{name + "-forced", numCtx, true})...)
}

// failure plays a case over the API and by the command. What goes wrong is what is looked for, so that
// there is no error.
func (d *drive) failure(ctx context.Context, f failure) (headlines []string) {
	for _, way := range []struct {
		via  string
		play func(context.Context, failure) (string, error)
	}{{"api", d.overAPI}, {"command", d.byCommand}} {
		within, cancel := context.WithTimeout(ctx, caseLimit)
		text, err := d.logPart(f.name+"-"+way.via, func() (string, error) { return way.play(within, f) })
		cancel()
		if err != nil {
			text = strings.TrimPrefix(text+"; "+err.Error(), "; ")
		}
		headlines = append(headlines, fmt.Sprintf("%s, %s: %s", f.name, way.via, text))
	}
	return headlines
}

// logPart keeps what the server's log says while a case is played.
func (d *drive) logPart(name string, play func() (string, error)) (text string, err error) {
	log, err := ollamarun.OpenServerLog(d.server.log)
	if err != nil {
		return "", err
	}
	text, err = play()
	part, logErr := log.Since()
	return text, errors.Join(err, logErr, keep(d.in("failures", name, "server.log"), part))
}

func (f failure) options(options map[string]any) map[string]any {
	options["num_ctx"], options["num_predict"] = f.numCtx, 1
	if f.forced {
		options["num_gpu"] = allLayers
	}
	return options
}

// overAPI sends a prompt, and keeps the answer with its header and what is loaded then.
func (d *drive) overAPI(ctx context.Context, f failure) (string, error) {
	figures := d.figures.failures
	request, err := json.Marshal(map[string]any{
		"model": modelF16, "prompt": strings.Repeat("a", figures.tokens), "raw": true, "stream": false,
		"options": f.options(map[string]any{"num_batch": figures.numBatch}),
	})
	if err != nil {
		return "", err
	}
	dir := f.name + "-api"
	if err := keep(d.in("failures", dir, "request.json"), request); err != nil {
		return "", err
	}
	status, body, raw, err := exchange(ctx, http.MethodPost, d.server.url.JoinPath("/api/generate").String(), request)
	if err != nil {
		return "", err
	}
	_, loaded, rawLoaded, psErr := exchange(ctx, http.MethodGet, d.server.url.JoinPath("/api/ps").String(), nil)
	err = errors.Join(psErr, keep(d.in("failures", dir, "generate.http"), raw), keep(d.in("failures", dir, "ps.http"), rawLoaded))
	return inWords(status, body, loaded), errors.Join(err, unload(ctx, d.server.client()))
}

// exchange returns an answer as it came.
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

// inWords is what an answer and the list of what is loaded come to, with the class that the harness gives
// an error.
func inWords(status int, body, loaded []byte) string {
	var answer struct {
		Error string
		api.GenerateResponse
	}
	var list api.ProcessResponse
	json.Unmarshal(body, &answer) // what is no JSON says nothing
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

// byCommand runs a prompt with the ollama command, and keeps what it prints.
func (d *drive) byCommand(ctx context.Context, f failure) (text string, err error) {
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
	err = errors.Join(keep(d.in("failures", dir, "run.stdout"), stdout.Bytes()), keep(d.in("failures", dir, "run.stderr"), stderr.Bytes()),
		keep(d.in("failures", dir, "run.exit"), fmt.Appendln(nil, code)))
	if _, _, raw, psErr := exchange(ctx, http.MethodGet, d.server.url.JoinPath("/api/ps").String(), nil); psErr == nil {
		err = errors.Join(err, keep(d.in("failures", dir, "ps.http"), raw))
	}
	text = "exit " + strconv.Itoa(code)
	if said := parse.ErrorText(stderr.Bytes()); code != 0 {
		text += fmt.Sprintf(", %s: %s", parse.Classify(said), said)
	}
	return text, errors.Join(err, unload(ctx, client), client.Delete(ctx, &api.DeleteRequest{Model: name}))
}
