// Package ollamarun measures one pair of num_ctx and num_batch on an Ollama
// server.
//
// Two runners give the same figures in the same form: API sends the options
// with each request, CLI calls the ollama command the way a user would. Server
// is what both need of the server besides: who answers, which model it is, what
// it has in memory, and to clear up. Engine builds, starts and stops an Ollama
// of our own for a machine that has none.
//
// The package does not choose cells, repeat or save anything.
package ollamarun
