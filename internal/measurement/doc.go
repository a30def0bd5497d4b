// Package measurement holds what is measured of a cell on its way from the server to the
// checkpoint: the Sample of a prompt, what is known of the server, of the Loaded model and of
// the GPUs, and the Failure of a cell with its Class. Packages parse and ollamarun make these values, check
// judges them, and checkpoint keeps them. The package reads no text and calls nothing.
package measurement
