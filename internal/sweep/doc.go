// Package sweep is the loop of a sweep: which cell comes next, its load and samples, what of them is
// believed and kept, and the advice that they end with.
//
// A [Strategy] chooses cells of the plan that a config gives. [Sweep.Run] has a [Runner] measure each
// that the checkpoint does not hold yet, and saves after every sample. The package knows nothing of
// HTTP, of processes or of pictures: a Runner answers with measurement.Sample values, and reports are made
// from a checkpoint elsewhere.
package sweep
