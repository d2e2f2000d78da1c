package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// eachOf does something to one of those that a command names. It says how that went where people
// read it, and returns what to say of it as a value.
type eachOf func(ctx context.Context, cl *client.Client, text string) (value map[string]any, err error)

// each makes a command of what it does to each that is named, whatever becomes of the others: of
// several each that fails has a line of its own, and the command fails once all were tried. What
// no other could do either, since no server answers or nobody waits any more, ends it at once.
func (e *env) each(do eachOf) func(context.Context, *client.Client, []string) error {
	return func(ctx context.Context, cl *client.Client, args []string) error {
		var all []map[string]any
		var failed, ended error
		for i, text := range args {
			value, err := do(ctx, cl, text)
			if err == nil {
				all = append(all, value)
				continue
			}
			if len(args) == 1 {
				return err
			}
			if ctx.Err() != nil || job.CodeOf(err) == job.Unavailable {
				ended = fmt.Errorf("%w; not done: %s", err, strings.Join(args[i:], " "))
				break
			}
			all = append(all, map[string]any{"id": text, "error": err.Error()})
			failed = exitCode(e.failure)
			e.failed(fmt.Errorf("%s: %w", text, err))
		}
		if e.Structured() && len(all) > 0 {
			if err := e.Values(all); err != nil {
				return err
			}
		}
		if ended != nil {
			return ended
		}
		return failed
	}
}

// failed says what went wrong, where a command goes on with something else.
func (e *env) failed(err error) {
	fmt.Fprintln(e.err, "reeve:", strings.ReplaceAll(err.Error(), "\n", "\nreeve: "))
}
