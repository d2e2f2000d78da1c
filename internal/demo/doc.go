// Package demo is the demonstration: it starts a server and three workers on this
// machine, has them count the identifiers of a real source tree in two ways, kills
// one of the workers on the way, and shows that the result is exact all the same.
// It holds both sides: the play (Run), and the programs that its job runs (Step).
package demo
