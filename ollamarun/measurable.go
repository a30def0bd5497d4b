package ollamarun

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/types/model"
)

// runsElsewhere returns an error for a model of Ollama's cloud or of another server,
// which the list of models tells, or its name where it is not in the list:
//
//	{"name":"gpt-oss:120b-cloud","remote_model":"gpt-oss:120b","remote_host":"https://ollama.com:443","size":346,…}
//
// It comes before any question about the model, which such a server passes on.
func runsElsewhere(name string, entry api.ListModelResponse) error {
	host := oneLine(entry.RemoteHost)
	switch {
	case host == "" && entry.RemoteModel == "" && (entry.Name != "" || !cloudName(name)):
		return nil
	case host == "":
		host = "Ollama's cloud"
	}
	return fmt.Errorf("model %q runs at %s and not on this server, so that num_ctx and num_batch have no effect on it: name a model whose size `ollama list` shows", name, host)
}

// cloudName reports whether a name's tag is that of a cloud model, as in
// gpt-oss:120b-cloud and gpt-oss:cloud.
func cloudName(name string) bool {
	_, tag, _ := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":")
	tag = strings.ToLower(tag)
	return tag == "cloud" || strings.HasSuffix(tag, "-cloud") || strings.HasSuffix(tag, ":cloud")
}

// measurable returns an error for a model on which the two settings do nothing, or which
// evaluates no prompt to answer it.
func measurable(name string, show *api.ShowResponse) error {
	can := func(c model.Capability) bool { return slices.Contains(show.Capabilities, c) }
	if show.RemoteHost != "" || show.RemoteModel != "" {
		return runsElsewhere(name, api.ListModelResponse{Name: name, RemoteHost: show.RemoteHost, RemoteModel: show.RemoteModel})
	}
	switch generates := generatesText(show); {
	case !generates && can(model.CapabilityImage):
		return fmt.Errorf("model %q generates images and no text, so that there is no prompt eval rate to measure: name a model that generates text", name)
	case !generates:
		return fmt.Errorf("model %q makes embeddings and generates no text, so that there is no prompt eval rate to measure: name a model that generates text", name)
	case show.Details.Format == "safetensors":
		return fmt.Errorf("model %q is an MLX model (format safetensors), whose engine uses neither num_ctx nor num_batch, so that all cells would be the same: name a GGUF model of the same weights", name)
	}
	return nil
}

// generatesText follows the server's capabilities, and before 0.6.4, which has none, what
// it later takes them from. An empty list is a server's that could not tell.
func generatesText(show *api.ShowResponse) bool {
	if len(show.Capabilities) > 0 {
		return slices.Contains(show.Capabilities, model.CapabilityCompletion)
	}
	architecture, _ := show.ModelInfo["general.architecture"].(string)
	_, pools := show.ModelInfo[architecture+".pooling_type"]
	return !pools
}
