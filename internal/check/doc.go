// Package check holds what a figure must stand before it is believed. The
// evidence of a load or a sample goes in, findings come out: a failure of the
// cell, or a warning that stays with it. It is pure: what is asked of a server,
// and what is done about a finding, is the caller's.
package check
