// Package sweep decides what to measure and keeps what was measured.
//
// A Config (YAML and flags) becomes a Grid of Cells. Sweep.Run takes the cells
// in order, has a Runner measure each that the checkpoint does not hold yet,
// and saves after every sample. The package knows nothing of HTTP, of
// processes or of pictures: a Runner answers with parse.Sample values, and
// reports are made from a Checkpoint elsewhere.
package sweep
