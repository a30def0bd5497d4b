package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ollama/ollama/api"
)

// errNoFigures is returned for an answer without its last message. Servers omit that if the text ends
// inside a character.
var errNoFigures = errors.New("the answer has no figures")

// generate sends a prompt and returns the last message of the answer.
func generate(ctx context.Context, client *api.Client, model, prompt string, options map[string]any) (last api.GenerateResponse, err error) {
	request := &api.GenerateRequest{Model: model, Prompt: prompt, Raw: true, Options: options}
	err = client.Generate(ctx, request, func(part api.GenerateResponse) error {
		last = part
		return nil
	})
	if err == nil && (!last.Done || last.PromptEvalCount == 0) {
		err = errNoFigures
	}
	return last, err
}

// unload unloads all models of the server, and waits until they are.
func unload(ctx context.Context, client *api.Client) error {
	for {
		running, err := client.ListRunning(ctx)
		if err != nil {
			return fmt.Errorf("listing loaded models: %w", err)
		}
		if len(running.Models) == 0 {
			return nil
		}
		for _, m := range running.Models {
			request := &api.GenerateRequest{Model: m.Name, KeepAlive: &api.Duration{}}
			if err := client.Generate(ctx, request, func(api.GenerateResponse) error { return nil }); err != nil {
				return fmt.Errorf("unloading %s: %w", m.Name, err)
			}
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// pause waits until d has passed or the context ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
