package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// runFlags are the job that a command line describes.
type runFlags struct {
	submitFlags
	name, array, queue, priority string
	cpu, memory, timeout         string
	envs                         []string
	attempts                     int
	detach                       bool
}

func (e *env) run() *cobra.Command {
	var r runFlags
	c := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT…]",
		Short: "Run a command on a worker, show its output and exit with its code",
		Example: `  reeve run -- echo hello
  reeve run --array 0-9 -- sh -c 'echo element $REEVE_ARRAY_INDEX'
  reeve run --timeout 10s --cpu 0.5 -- make test`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := r.file(args)
			if err != nil {
				return err
			}
			return e.runText(c.Context(), text, &r.submitFlags, r.detach)
		},
	}
	r.add(c)
	f := c.Flags()
	f.StringVar(&r.name, "name", "", "the job's name")
	f.StringVar(&r.array, "array", "", "run an array: 0-31, 1,3,5, 1-7:2, 0-99%4")
	f.StringVar(&r.queue, "queue", "", "the queue")
	f.StringVar(&r.priority, "priority", "", "critical, high, normal, low, background, or -1000 to 1000; higher runs first")
	f.StringVar(&r.cpu, "cpu", "", "processors: 2, 0.5, 500m")
	f.StringVar(&r.memory, "memory", "", "memory: 512Mi, 4G")
	f.StringVar(&r.timeout, "timeout", "", "the longest an attempt may run")
	f.IntVar(&r.attempts, "max-attempts", 1, "how often to try")
	f.StringArrayVarP(&r.envs, "env", "e", nil, "an environment variable, NAME=value; may be repeated")
	f.BoolVarP(&r.detach, "detach", "d", false, "only submit; do not follow")
	return c
}

// file writes the job file of a command line.
func (r *runFlags) file(args []string) ([]byte, error) {
	for i, arg := range args {
		if !utf8.ValidString(arg) {
			return nil, fmt.Errorf("argument %d, %q, is not UTF-8 text, which a job file can't hold; put such bytes into a file, or write them with printf inside sh -c", i+1, arg)
		}
	}
	spec := map[string]any{"command": args}
	resources := map[string]string{}
	set := func(to map[string]string, key, value string) {
		if value != "" {
			to[key] = value
		}
	}
	set(resources, "cpu", r.cpu)
	set(resources, "memory", r.memory)
	if len(resources) > 0 {
		spec["resources"] = resources
	}
	top := map[string]string{}
	set(top, "name", r.name)
	set(top, "array", r.array)
	set(top, "queue", r.queue)
	set(top, "timeout", r.timeout)
	set(top, "priority", r.priority)
	for key, value := range top {
		spec[key] = value
	}
	if r.attempts != 1 {
		spec["retry"] = r.attempts
	}
	if len(r.envs) > 0 {
		pairs, err := envPairs(r.envs)
		if err != nil {
			return nil, err
		}
		spec["env"] = pairs
	}
	return json.Marshal(spec)
}

func envPairs(envs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range envs {
		name, value, err := pair("env", text)
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

// runText submits a job, follows its output and ends with its code.
func (e *env) runText(ctx context.Context, text []byte, s *submitFlags, detach bool) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	defer cl.Close()
	if detach {
		_, err := e.submitText(ctx, cl, "command line", text, s)
		return err
	}
	quiet := *e
	quiet.out = e.err // the job's own output alone goes to standard output
	quiet.output = "table"
	id, err := quiet.submitText(ctx, cl, "command line", text, s)
	if err != nil {
		return err
	}
	j, err := e.follow(ctx, cl, id)
	if ctx.Err() != nil {
		e.cancelInterrupted(ctx, cl, id)
		return exitCode(130)
	}
	if err != nil {
		return err
	}
	if err := e.ended(j); err != nil {
		return err
	}
	if c := j.GetExitCode(); c != 0 {
		return exitCode(c)
	}
	return nil
}

// follow shows a job's output as it comes and returns the job once it has ended.
func (e *env) follow(ctx context.Context, cl *client.Client, id string) (*client.Job, error) {
	logCtx, stop := context.WithCancel(ctx)
	defer stop()
	shown := make(chan error, 1)
	go func() { shown <- e.showLogs(logCtx, cl, id, client.LogOptions{Follow: true}, logStyle{}) }()
	j, err := cl.Follow(ctx, id, nil)
	if err != nil {
		return nil, err
	}
	const patience = 5 * time.Second // the last of the output may come after the end
	select {
	case err := <-shown:
		if err != nil && !errors.Is(err, context.Canceled) {
			fmt.Fprintf(e.err, "reeve: the output could not be read to its end: %v\n", err)
		}
	case <-time.After(patience):
		fmt.Fprintf(e.err, "reeve: the output has not come to its end; see reeve logs %s\n", id)
	}
	return j, nil
}

// cancelInterrupted takes the job along when the command is interrupted.
func (e *env) cancelInterrupted(ctx context.Context, cl *client.Client, id string) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if _, err := cl.Cancel(ctx, &client.CancelRequest{Id: id, Reason: "interrupted"}); err != nil {
		fmt.Fprintf(e.err, "reeve: interrupted, but job %s could not be cancelled: %v\n", id, err)
		return
	}
	fmt.Fprintf(e.err, "reeve: interrupted; job %s is cancelled\n", id)
}
