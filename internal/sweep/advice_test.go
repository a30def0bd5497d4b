package sweep

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLineReplacesFlags(t *testing.T) {
	h := Header{Command: "-config 'my file.yaml' -repeat=6 -baseline=true"}
	assert.Equal(t, "go test -run Sweep -timeout 0 -config 'my file.yaml' -baseline=true -repeat=7 -out=there", h.Line("-repeat=7", "-out=there"))
	assert.Equal(t, "go test -run Sweep -timeout 0 -config FILE -baseline", Header{}.Line("-baseline"))
	assert.Equal(t, "go test -run Sweep -timeout 0 -config 'my file.yaml' -repeat=6 -baseline", h.Line("-baseline"))
}
