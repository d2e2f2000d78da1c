// Package match says of which workers an entry of a task's where is true, and how many points
// one of its prefer is worth there.
//
// An entry is a label, spelled key or key=value, or an expression in CEL (cel.dev) over a
// worker's labels, name and pool. What an expression does is bounded before it runs: by its
// length, by the size of its tree, by the functions that it may call, which know no clock and
// no loops, and by what its evaluation may cost. One that has no value on a worker, because
// a label is missing or is no number, is an answer like any other: it is not true there.
package match
