package client

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/trust"
)

// try is a server that was tried, and how that failed.
type try struct {
	host string
	err  error
}

// unreached is the error of a call that none of several servers has answered. To errors.Is
// and errors.As it is the failure that leaves the most hope: only if no server can be trusted
// it is trust.ErrUntrusted, and only if nothing listens anywhere it is ECONNREFUSED.
type unreached struct {
	scheme string
	tries  []try // the last of which may have got the message
}

// Error says on one line what each server failed with.
func (u *unreached) Error() string {
	each := make([]string, 0, len(u.tries))
	for _, t := range u.tries {
		each = append(each, u.scheme+"://"+t.host+": "+reason(t.err))
	}
	return strings.Join(each, "; ")
}

// hopeful is the last failure, or an earlier one that is likelier to pass.
func (u *unreached) hopeful() error {
	hope := func(err error) int {
		switch {
		case errors.Is(err, trust.ErrUntrusted):
			return 0
		case unreachable(err):
			return 1
		}
		return 2
	}
	best := u.tries[len(u.tries)-1].err
	for _, t := range u.tries {
		if hope(t.err) > hope(best) {
			best = t.err
		}
	}
	return best
}

// Is is for errors.Is. A connection that took too long is no deadline of the caller's.
func (u *unreached) Is(target error) bool {
	if target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded { //nolint:errorlint // it is asked for by these very values
		return false
	}
	return errors.Is(u.hopeful(), target)
}

// As is for errors.As.
func (u *unreached) As(target any) bool { return errors.As(u.hopeful(), target) }

// reason is why a connection failed, without the addresses that net puts before it.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	return strings.ReplaceAll(err.Error(), "\n", " ")
}
