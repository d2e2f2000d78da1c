// Package spaces is the handlers for where jobs wait and run: queues, namespaces, pools and reservations, and
// what they may have.
package spaces

import (
	"context"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Engine is the leader as the handlers need it.
type Engine interface {
	// Do has a command decided, durably.
	Do(ctx context.Context, c core.Command) (any, error)
	// View runs fn on the state; what fn saw is durable when View returns.
	View(ctx context.Context, fn func(*core.State)) error
}

// orDefault is the namespace that an empty one means.
func orDefault(namespace string) string {
	if namespace == "" {
		return core.DefaultName
	}
	return namespace
}

func invalid(format string, args ...any) error {
	return &job.Error{Code: job.Invalid, Message: fmt.Sprintf(format, args...)}
}
