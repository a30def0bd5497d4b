package parse

import (
	"bytes"
	"encoding/json"
)

// jsonLine begins a line of a log that Docker stores as JSON (with json-file, its default
// logging driver):
//
//	{"log":"time=… level=INFO … msg=\"starting llama-server\" cmd=\"…\"\n","stream":"stderr","time":"2025-06-05T12:36:11.709Z"}
var jsonLine = []byte(`{"log":"`)

// unwrapLog returns a server's log without the JSON that Docker puts around its lines.
// Other lines are not changed.
func unwrapLog(log []byte) []byte {
	if !bytes.Contains(log, jsonLine) {
		return log
	}
	var text []byte
	for line := range bytes.Lines(log) {
		text = append(text, unwrapLine(line)...)
	}
	return text
}

func unwrapLine(line []byte) []byte {
	if !bytes.HasPrefix(line, jsonLine) {
		return line
	}
	var docker struct{ Log string }
	if json.Unmarshal(line, &docker) != nil {
		return line // it is still being written
	}
	return []byte(docker.Log)
}
