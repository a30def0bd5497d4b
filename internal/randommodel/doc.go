// Package randommodel writes a GGUF model of real size whose weights are random, the same
// bytes every time, in seconds: for measurements of speed and memory where no model can be
// had. What it answers is visible ASCII, and means nothing.
package randommodel
