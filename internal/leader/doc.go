// Package leader is a replica with the right to decide: one goroutine takes
// commands, lets the core decide and apply, and makes each batch durable before
// anything that saw it leaves. While one batch is being made durable the next one
// forms. Beside the loop run the appender, the projector, which writes rows to the
// tables, and the liveness of workers. DESIGN.md beside this file tells the whole.
package leader
