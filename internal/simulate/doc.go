// Package simulate runs workloads in virtual time: by a policy of the literature over
// one machine, or by the scheduler itself, whose core and plan do what they do in a
// server. Nothing here has a clock; a run is repeated by its arguments.
package simulate
