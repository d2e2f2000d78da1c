// Package core is the state machine that everything else serves. It holds the
// state of all that is not finished. Decide turns state, time and a command into
// events; Apply turns state and an event into the next state and never judges;
// Follow decides what an applied event entails; Place asks plan for placements
// and checks each of them again. Nothing here does I/O, reads a clock, draws a
// random number or starts a goroutine: times and seeds come in as values, so that
// every replica that applies the same events has the same state.
//
// A State belongs to one goroutine.
package core
