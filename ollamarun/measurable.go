package ollamarun

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/types/model"
)

// checkLocal returns an error for a model that runs in Ollama's cloud or on another
// server, according to the list of models, or to its name if it is not listed:
//
//	{"name":"gpt-oss:120b-cloud","remote_model":"gpt-oss:120b","remote_host":"https://ollama.com:443","size":346,…}
//
// It is called before /api/show, which would be forwarded to that server.
func checkLocal(name string, entry api.ListModelResponse) error {
	host := oneLine(entry.RemoteHost)
	switch {
	case host == "" && entry.RemoteModel == "" && (entry.Name != "" || !cloudName(name)):
		return nil
	case host == "":
		host = "Ollama's cloud"
	}
	return fmt.Errorf("model %q runs at %s and not on this server, so num_ctx and num_batch have no effect on it: name a model for which `ollama list` shows a size", name, host)
}

// cloudName reports whether a name's tag is that of a cloud model, as in
// gpt-oss:120b-cloud and gpt-oss:cloud.
func cloudName(name string) bool {
	_, tag, _ := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":")
	tag = strings.ToLower(tag)
	return tag == "cloud" || strings.HasSuffix(tag, "-cloud") || strings.HasSuffix(tag, ":cloud")
}

// checkMeasurable returns an error for a model on which the two settings have no effect, or
// which does not evaluate a prompt to generate an answer.
func checkMeasurable(name string, show *api.ShowResponse) error {
	can := func(c model.Capability) bool { return slices.Contains(show.Capabilities, c) }
	if show.RemoteHost != "" || show.RemoteModel != "" {
		return checkLocal(name, api.ListModelResponse{Name: name, RemoteHost: show.RemoteHost, RemoteModel: show.RemoteModel})
	}
	switch generates := generatesText(show); {
	case !generates && can(model.CapabilityImage):
		return fmt.Errorf("model %q generates images, not text, so there is no prompt eval rate to measure: name a model that generates text", name)
	case !generates:
		return fmt.Errorf("model %q computes embeddings and does not generate text, so there is no prompt eval rate to measure: name a model that generates text", name)
	case show.Details.Format == "safetensors":
		return fmt.Errorf("model %q is an MLX model (format safetensors), whose engine uses neither num_ctx nor num_batch, so all cells would have the same rate: name a GGUF model of the same weights", name)
	}
	return nil
}

// generatesText uses the capabilities that the server lists. Before 0.6.4 there are none, and an
// empty list means that the server could not determine them; then it uses the key from which
// later versions derive them.
func generatesText(show *api.ShowResponse) bool {
	if len(show.Capabilities) > 0 {
		return slices.Contains(show.Capabilities, model.CapabilityCompletion)
	}
	architecture, _ := show.ModelInfo["general.architecture"].(string)
	_, pools := show.ModelInfo[architecture+".pooling_type"]
	return !pools
}
