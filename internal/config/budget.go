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

// Budget limits the cost of a run: once it is spent, no further cell is started. The
// zero value is no limit.
type Budget struct {
	Time  time.Duration
	Cells int // loads of planned cells, without auxiliary measurements
}

// ParseBudget reads "2h" or "40cells".
func ParseBudget(s string) (Budget, error) {
	if digits, ok := strings.CutSuffix(s, "cells"); ok {
		n, err := strconv.Atoi(strings.TrimSpace(digits))
		if err != nil || n < 1 {
			return Budget{}, fmt.Errorf("expected a number of cells like 40cells, got %q", s)
		}
		return Budget{Cells: n}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return Budget{}, fmt.Errorf("expected a duration like 2h, or a number of cells like 40cells, got %q", s)
	}
	return Budget{Time: d}, nil
}

// UnmarshalYAML reads the form of ParseBudget.
func (b *Budget) UnmarshalYAML(n *yaml.Node) error {
	return strictyaml.Scalar(n, b, "a duration like 2h, or a number of cells like 40cells", ParseBudget)
}

// Check returns an error for a budget that is not positive.
func (b Budget) Check() error {
	if b == (Budget{}) || b.Cells > 0 {
		return nil
	}
	return positiveDuration(b.Time)
}

// Tolerance is a relative difference in rate for which a search measures no further
// cell: 0.01 is 1 %.
type Tolerance float64

// ParseTolerance reads "1%" or "0.01".
func ParseTolerance(s string) (Tolerance, error) {
	digits, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil {
		return 0, fmt.Errorf("expected a percentage like 1%%, got %q", s)
	}
	if percent {
		v /= 100
	}
	return Tolerance(v), nil
}

// UnmarshalYAML reads the form of ParseTolerance.
func (t *Tolerance) UnmarshalYAML(n *yaml.Node) error {
	return strictyaml.Scalar(n, t, "a percentage like 1%", ParseTolerance)
}

// Check returns an error for a tolerance out of range.
func (t Tolerance) Check() error {
	if !(t >= 0.0001 && t <= 0.5) {
		return errors.New("must be between 0.01% and 50%, like 1%")
	}
	return nil
}
