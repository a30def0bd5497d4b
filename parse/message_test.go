package parse

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMessage(t *testing.T) {
	for text, want := range map[string]string{
		`model 'x' not found`: `model 'x' not found`,
		`{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`:           `Loading model`,
		`400 Bad Request: {"error":{"code":400,"message":"too long"}}`:                          `400 Bad Request: too long`,
		"{\"error\":{\"code\":500,\"message\":\"Compute error.\"}}\nerror: Insufficient Memory": "Compute error.\nerror: Insufficient Memory",
		`{"error":"{\"error\":{\"code\":400,\"message\":\"too long\"}}"}`:                       `too long`,
		`{"error":"busy"}`:         `busy`,
		`server error: {Status:4}`: `server error: {Status:4}`,
		`{"error":{"code":500}}`:   `{"error":{"code":500}}`,
		`{"error":[1]}`:            `{"error":[1]}`,
		`{"status":"error"}`:       `{"status":"error"}`,
		`{"error":`:                `{"error":`,
	} {
		assert.Equal(t, want, Message(text), text)
	}
}
