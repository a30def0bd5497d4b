// Package survives plays what can go wrong in a sweep from the outside: kills, signals,
// full disks, servers and commands with faults, damaged and hostile input. It holds tests
// only, each of them a promise of docs/reliability.md.
package survives
