// Package ollamarun measures one cell, a num_ctx with a num_batch, on an Ollama
// server.
//
// Two runners return the same figures in the same form: API sends the options
// with each request, CLI calls the ollama command the way a user would. Both
// use Server to identify the server and its model, to see what is in memory, and
// to clean up. Engine builds, starts and stops a private Ollama on a machine
// that has none.
//
// The package does not choose cells, does not repeat measurements, and saves
// nothing.
package ollamarun
