package job

import (
	"errors"
	"time"
)

// Code is what a caller can do about an error; the door translates it once to the
// wire's codes.
type Code uint8

// The codes.
const (
	// Internal: a fault of Reeve's own. Nothing the caller can do but report it.
	Internal Code = iota
	// Invalid: the request is wrong; repeating it can't help.
	Invalid
	// NotFound: what it names does not exist, or is past its retention.
	NotFound
	// Exists: a thing of that name, or another body under that key, exists.
	Exists
	// Refused: the state of things does not allow it, such as a hold on what ended.
	Refused
	// Denied: the caller's token does not allow it.
	Denied
	// Unauthenticated: no valid token came with the request.
	Unauthenticated
	// Busy: too much at the moment; repeat after a while.
	Busy
	// Unavailable: this server can't answer now; repeat, perhaps elsewhere.
	Unavailable
	// Stale: facts that came with a command are outdated; look them up again.
	Stale
)

// Error is an error for a user: what was wrong, with the value, and what to do.
type Error struct {
	Code Code
	// Message is one line.
	Message string
	// After is when to repeat what was refused as Busy, 0 for a second.
	After time.Duration
	// Cause is for the operator's log, never shown to the user.
	Cause error
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the operator's cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of the first Error in err's chain, Internal if there is
// none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
