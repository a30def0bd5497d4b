// Package check holds the checks that a measurement must pass. Each takes the
// evidence of a load or a sample and returns findings: a failure of the cell, or
// a warning that is saved with it. The package is pure: callers send the
// requests, and act on the findings.
package check
