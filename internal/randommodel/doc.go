// Package randommodel writes a GGUF model of realistic size with random weights in seconds,
// the same bytes every time: for measurements of speed and memory where no model is
// available. It generates meaningless visible ASCII.
package randommodel
