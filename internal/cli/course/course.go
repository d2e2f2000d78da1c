// Package course is the commands that change the course of jobs: what ends them, keeps them from
// starting, and where they stand.
package course

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Env is what the commands have of the command line. All of it is required.
type Env struct {
	*render.Printer
	// On makes what a command runs of what it does with a server.
	On func(do func(ctx context.Context, cl *client.Client, args []string) error) func(*cobra.Command, []string) error
	// Ref and JobID read what names a job or a part of one, and a whole job.
	Ref   func(ctx context.Context, cl *client.Client, text string) (job.Ref, error)
	JobID func(ctx context.Context, cl *client.Client, text string) (job.ID, error)
	// Failed says what went wrong where a command goes on with something else; Failure is an error
	// that ends the program as a failure and says nothing more.
	Failed  func(err error)
	Failure func() error
}

// Commands returns the commands.
func (e Env) Commands() []*cobra.Command {
	return []*cobra.Command{e.cancel(), e.kill(), e.hold(), e.release(), e.update()}
}

// eachOf does something to one of those that a command names. It says how that went where people
// read it, and returns what to say of it as a value.
type eachOf func(ctx context.Context, cl *client.Client, text string) (value map[string]any, err error)

// each makes a command of what it does to each that is named, whatever becomes of the others: of
// several each that fails has a line of its own, and the command fails once all were tried. What
// no other could do either, since no server answers or nobody waits any more, ends it at once.
func (e Env) each(do eachOf) func(context.Context, *client.Client, []string) error {
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
			failed = e.Failure()
			e.Failed(fmt.Errorf("%s: %w", text, err))
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
