package parse

import (
	"encoding/json"
	"strings"
)

// Message returns an error message in which an answer of llama-server, if there is
// one, is replaced by the message of that answer:
//
//	{"error":{"code":400,"message":"request (3620 tokens) exceeds the available context size (512 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":3620,"n_ctx":512}}
func Message(text string) string {
	message, _ := unwrap(text)
	return message
}

// unwrap is Message, but also returns the answer's code, 0 for none.
func unwrap(text string) (message string, code int) {
	begin := strings.IndexByte(text, '{')
	if begin < 0 {
		return text, 0
	}
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	decoder := json.NewDecoder(strings.NewReader(text[begin:]))
	if decoder.Decode(&answer) != nil {
		return text, 0
	}
	var body struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(answer.Error, &body.Message) == nil {
		body.Message, body.Code = unwrap(body.Message)
	} else if json.Unmarshal(answer.Error, &body) != nil {
		return text, 0
	}
	if body.Message == "" {
		return text, 0
	}
	return text[:begin] + body.Message + text[begin+int(decoder.InputOffset()):], body.Code
}
