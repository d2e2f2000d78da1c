// Package jobfile turns the text of a job file into a checked, canonical spec:
// the grammar, positions of errors, defaults, parameters, where expressions may stand
// and the published schema. It is pure: text in, values out.
package jobfile
