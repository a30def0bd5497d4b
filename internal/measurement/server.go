package measurement

// Model is the server's description of a model.
type Model struct {
	Digest       string // of the manifest, hexadecimal
	Quantization string // such as "Q4_K_M"
	System       string // system prompt
	TrainedCtx   int    // context in tokens that it was trained for; 0 if unknown
}

// ServerStart is what a server's log reports about its newest start. A field is nil if the log
// does not have it, for example because the log was started later than the server.
type ServerStart struct {
	Devices  []string          // devices that it computes on; see parse.Devices
	Settings map[string]string // settings of its environment; see parse.ServerSettings
	// Environment has all variables that the log lists.
	Environment map[string]string
}

// OtherClients lists the models that the server has in memory before a sweep.
type OtherClients struct {
	Sweeps []string // temporary models of other running sweeps
	Ours   bool     // the model itself, or a temporary one of a killed sweep
	Others []string // all other models
}
