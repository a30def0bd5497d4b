// Package modelname compares model names as Ollama does. It only compares names, as users and
// servers write them, and looks nothing up.
package modelname

import (
	"path/filepath"
	"strings"

	"github.com/ollama/ollama/types/model"
)

// Full returns a name in lower case, completed with the default host, namespace and tag. A
// string that is not a model name, such as a file name, is returned unchanged.
func Full(name string) string {
	full := model.ParseName(name)
	if filepath.IsAbs(name) || !full.IsFullyQualified() {
		return name
	}
	return strings.ToLower(full.String())
}

// Same reports whether two names are those of one model.
func Same(a, b string) bool { return Full(a) == Full(b) }
