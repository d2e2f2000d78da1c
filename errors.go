package reeve

import (
	"context"
	"errors"

	"github.com/reeve-scheduler/reeve/internal/executor/function"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Code is what a caller can do about an error.
type Code string

// The codes.
const (
	// CodeInvalid: the request is wrong; repeating it can't help.
	CodeInvalid Code = "invalid"
	// CodeNotFound: what it names does not exist, or is past its retention.
	CodeNotFound Code = "not_found"
	// CodeExists: another body was submitted with that key before, or a thing of that
	// name exists.
	CodeExists Code = "exists"
	// CodeRefused: the state of things does not allow it, such as a hold on a job that
	// has ended.
	CodeRefused Code = "refused"
	// CodeDenied: the token does not allow it.
	CodeDenied Code = "denied"
	// CodeUnauthenticated: no valid token came with the request.
	CodeUnauthenticated Code = "unauthenticated"
	// CodeBusy: the server has too much to do, for longer than Config.Patience.
	CodeBusy Code = "busy"
	// CodeUnavailable: no server answers, for longer than Config.Patience; whether the
	// request took effect may be unknown. Submits may be repeated with the same keys.
	CodeUnavailable Code = "unavailable"
	// CodeInternal: a fault of the server's own.
	CodeInternal Code = "internal"
)

// Error is what every call of this package returns when it fails, unless its context
// ended first: then it is the context's error. Wait and Follow have JobError beside it.
type Error struct {
	Code Code
	// Message is one line: what was wrong, with the value, and what to do.
	Message string

	cause error
}

// Error returns the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Code)
	}
	return e.Message
}

// Is reports whether target is the error value of the same code, such as ErrNotFound.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error) //nolint:errorlint // the value itself is compared, not what it wraps
	return ok && t.Message == "" && t.Code == e.Code
}

// Unwrap returns what the transport said, if it did.
func (e *Error) Unwrap() error { return e.cause }

// Values for errors.Is, one per code that a program tells apart.
var (
	ErrInvalid         error = &Error{Code: CodeInvalid}
	ErrNotFound        error = &Error{Code: CodeNotFound}
	ErrExists          error = &Error{Code: CodeExists}
	ErrRefused         error = &Error{Code: CodeRefused}
	ErrDenied          error = &Error{Code: CodeDenied}
	ErrUnauthenticated error = &Error{Code: CodeUnauthenticated}
	ErrBusy            error = &Error{Code: CodeBusy}
	ErrUnavailable     error = &Error{Code: CodeUnavailable}
)

// What context.Cause says inside a handler once its context has ended.
var (
	// ErrCancelled: somebody cancelled it, or a rule of its job did, such as a deadline.
	ErrCancelled = function.ErrCancelled
	// ErrStopping: the worker is going away, or was drained with force. An attempt that
	// returns an error now gets another one elsewhere, which no retry budget pays for.
	ErrStopping = function.ErrStopping
	// ErrTimeout: the task's timeout has passed; the attempt counts as timed out
	// whatever the handler returns.
	ErrTimeout = function.ErrTimeout
	// ErrLeaseLost: the worker has not reached a server for the length of the lease.
	// Another attempt may be running elsewhere by now: stop, and touch nothing that is
	// not fenced.
	ErrLeaseLost = function.ErrLeaseLost
)

// Permanent marks an error of a handler as one that trying again can't help: the
// attempt fails and no budget of the task's retry rule gives it another.
// Permanent(nil) is nil.
func Permanent(err error) error { return function.Permanent(err) }

var codes = map[job.Code]Code{
	job.Internal: CodeInternal, job.Invalid: CodeInvalid, job.NotFound: CodeNotFound, job.Exists: CodeExists,
	job.Refused: CodeRefused, job.Denied: CodeDenied, job.Unauthenticated: CodeUnauthenticated, job.Busy: CodeBusy,
	job.Unavailable: CodeUnavailable, job.Stale: CodeUnavailable,
}

func invalid(message string) error { return &Error{Code: CodeInvalid, Message: message} }

// fail turns an error of a call under ctx into this package's.
func fail(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// The server keeps to the deadline too, and its clock may be a moment ahead.
	if _, ok := ctx.Deadline(); ok && errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Code: codes[job.CodeOf(err)], Message: err.Error(), cause: err}
}
