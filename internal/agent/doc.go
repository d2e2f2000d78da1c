// Package agent is the worker's will: it takes assignments from a server, gives
// them slots, prepares, starts and stops attempts through executors, collects what
// they leave, ships their logs and repeats their results until the server has them.
//
// What is decided is a pure step machine (Machine); Agent is the shell around it
// that does what the machine says. DESIGN.md beside this file has the reasons.
package agent
