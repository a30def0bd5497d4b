// Package survives tests the fault tolerance of a sweep from the outside: kills, signals, full
// disks, faults of servers and commands, damaged and hostile input. It has tests only. Each of
// them proves a promise of docs/reliability.md.
package survives
