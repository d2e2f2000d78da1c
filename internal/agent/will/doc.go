// Package will decides for a worker: which attempts get a place, when they start and
// stop, until when they may run, what the server is told and how often. It is a pure
// step machine: time and events come in, actions go out, and package agent does what
// they say. The simulator drives it in the same way.
package will
