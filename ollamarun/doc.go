// Package ollamarun measures one cell, a num_ctx with a num_batch, on an Ollama
// server.
//
// Two runners return the same figures in the same form: API sends the options
// with each request, CLI calls the ollama command the way a user would. Both
// use Server to identify the server and its model, to see what is in memory, and
// to clean up. Engine builds, starts and stops a private Ollama on a machine
// that has none.
//
// An error is a *measurement.Failure where the server or the command has failed at
// what was requested. Its class says whether the cell has failed with it (memory,
// crash, timeout, impossible figures) or the server is merely away or busy, for
// which Ready waits. All other errors would come again with each cell: a model that
// was deleted, a redirect, a refused password, a file that can't be written.
//
// The package does not choose cells, does not repeat measurements, and saves
// nothing.
package ollamarun
