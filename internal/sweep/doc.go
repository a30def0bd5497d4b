// Package sweep is the loop of a sweep: it chooses the next cell, loads and samples it, checks and
// saves each sample, and derives the advice at the end.
//
// A [Strategy] chooses cells of the plan, which the config defines. [Sweep.Run] has a [Runner] measure
// each cell that is not in the checkpoint yet, and saves after every sample. The package knows nothing
// about HTTP, processes or pictures: a Runner returns measurement.Sample values, and other packages make
// reports from the checkpoint.
package sweep
