// Package sim runs whole clusters in one goroutine from a seed: the real step
// machines of server and workers in a modelled world of clocks, networks, disks and
// processes, with faults, and a judge that holds what happens against what Reeve
// promises. DESIGN.md beside this file says what is real and what is modelled.
package sim
