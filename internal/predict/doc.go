// Package predict learns from attempts that have ended how long a task runs and how much
// memory it takes, and says what to expect of the next attempt: the run time, how sure that
// is, whether the task asks for the memory that it needs, and what to ask for after it ran
// out of it.
//
// What it knows is a part of the replicated state: integers only, bounded, and the same on
// every machine that was taught the same, to the last byte.
package predict
