package main

import (
	"fmt"
	"os"
	"strings"
)

// summary formats the outcome of each stage with its headlines, and the problems of the archive.
func summary(outcomes []outcome, leftOut []string, packing error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %-8s %8s %8s\n", "stage", "state", "seconds", "given")
	for _, o := range outcomes {
		fmt.Fprintf(&b, "%-10s %-8s %8.1f %8.0f  %s\n", o.stage, o.state, o.took.Seconds(), o.given.Seconds(), o.why)
	}
	for _, o := range outcomes {
		if len(o.headlines) > 0 {
			fmt.Fprintf(&b, "\n%s\n", o.stage)
		}
		for _, line := range o.headlines {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	for _, file := range leftOut {
		fmt.Fprintf(&b, "\nleft out, since the archive would be too large: %s\n", file)
	}
	if packing != nil {
		fmt.Fprintf(&b, "\nthe archive was not updated: %v\n", packing)
	}
	return b.String()
}

// replace replaces a file atomically.
func replace(file, text string) error {
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
