package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Budget is what a run may cost; what is spent, no further cell is begun. The
// zero value sets no limit.
type Budget struct {
	Time  time.Duration
	Cells int // loads of the plan's cells
}

// ParseBudget reads "2h" or "40cells".
func ParseBudget(s string) (Budget, error) {
	if digits, ok := strings.CutSuffix(s, "cells"); ok {
		n, err := strconv.Atoi(strings.TrimSpace(digits))
		if err != nil || n < 1 {
			return Budget{}, fmt.Errorf("expected a number of cells like 40cells, and this is %q", s)
		}
		return Budget{Cells: n}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return Budget{}, fmt.Errorf("expected a duration like 2h, or a number of cells like 40cells, and this is %q", s)
	}
	return Budget{Time: d}, nil
}

// UnmarshalYAML reads the form of ParseBudget.
func (b *Budget) UnmarshalYAML(n *yaml.Node) error {
	return strictyaml.Scalar(n, b, "a duration like 2h, or a number of cells like 40cells", ParseBudget)
}

// Check returns an error for a time that is not above zero.
func (b Budget) Check() error {
	if b == (Budget{}) || b.Cells > 0 {
		return nil
	}
	return positiveDuration(b.Time)
}

// Tolerance is a relative difference in rate that is not worth another cell: 0.01
// is 1 %.
type Tolerance float64

// ParseTolerance reads "1%" or "0.01".
func ParseTolerance(s string) (Tolerance, error) {
	digits, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil {
		return 0, fmt.Errorf("expected a share like 1%%, and this is %q", s)
	}
	if percent {
		v /= 100
	}
	return Tolerance(v), nil
}

// UnmarshalYAML reads the form of ParseTolerance.
func (t *Tolerance) UnmarshalYAML(n *yaml.Node) error {
	return strictyaml.Scalar(n, t, "a share like 1%", ParseTolerance)
}

// Check returns an error for a tolerance outside of 0.01 % to 50 %.
func (t Tolerance) Check() error {
	if !(t >= 0.0001 && t <= 0.5) {
		return errors.New("it must lie from 0.01% to 50%: write 1% for a difference that doesn't matter to you")
	}
	return nil
}
