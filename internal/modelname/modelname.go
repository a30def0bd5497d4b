// Package modelname compares the names of models as Ollama does. Names go in, as a user or a
// server writes them; nothing is looked up.
package modelname

import (
	"path/filepath"
	"strings"

	"github.com/ollama/ollama/types/model"
)

// Full returns a name in lower case with the parts that may be left out: host, namespace and
// tag. What can be no model's name, such as that of a file, stays as it is.
func Full(name string) string {
	full := model.ParseName(name)
	if filepath.IsAbs(name) || !full.IsFullyQualified() {
		return name
	}
	return strings.ToLower(full.String())
}

// Same reports whether two names are of one model.
func Same(a, b string) bool { return Full(a) == Full(b) }
