package bench

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestComments(t *testing.T) {
	var out bytes.Buffer
	c := &comments{w: &out}
	fmt.Fprint(c, "one\ntwo")
	fmt.Fprint(c, " and the rest\n\nthree: 3\n")
	assert.Equal(t, "# one\n# two and the rest\n# \n# three: 3\n", out.String())

	_, err := fmt.Fprint(&comments{w: full{}}, "x")
	assert.EqualError(t, err, "disk full")
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }
