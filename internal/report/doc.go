// Package report turns a sweep's checkpoint into what people and programs
// read: a table, statistics, benchmark lines, a picture, a page and advice.
//
// Every output is a pure function of the checkpoint, so that it can be made
// again at any time, also in the middle of a sweep. Nothing here measures,
// reads the clock or changes a checkpoint.
package report
