package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
)

// runFlags are the job that a command line describes.
type runFlags struct {
	submitFlags
	name, array, queue, priority string
	cpu, memory, timeout, pool   string
	envs, where, prefer, others  []string
	attempts, nodes              int
	detach                       bool
}

func (e *env) run() *cobra.Command {
	var r runFlags
	c := &cobra.Command{
		Use:   "run [flags] [--] COMMAND [ARGUMENT…]",
		Short: "Run a command on a worker, show its output and exit with its code",
		Long: `Submit a job of one command, show its output as it comes, and exit with the job's code. Standard output is the
command's alone; what Reeve says goes to standard error. The command has no standard input, and runs in a directory of its own.

Ctrl-C (or SIGTERM) cancels the job: SIGTERM, its grace, SIGKILL. Ctrl-C again kills it at once, and once more leaves it.
The job ends too when what reads the output is gone, as in "reeve run -- yes | head". It goes on if this command is killed.`,
		Example: `  reeve run -- echo hello
  reeve run --array 0-9 -- sh -c 'echo element $REEVE_ARRAY_INDEX'
  reeve run --each-line hosts.txt -- ping -c 1 '${{ array.item }}'
  ls *.wav | reeve run --each-line - --throttle 4 -- sh -c 'lame "$REEVE_ITEM"'
  reeve run --timeout 10s --cpu 0.5 -- make test
  reeve run --nodes 4 --resource gpu=1 -- ./train`,
		Args: usage.Count(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := r.check(c); err != nil {
				return err
			}
			text, err := r.file(args)
			if err != nil {
				return err
			}
			return e.runText(c.Context(), text, &r.submitFlags, r.detach)
		},
	}
	r.add(c)
	f := c.Flags()
	f.SetInterspersed(false) // what follows the command is the command's
	f.StringVar(&r.name, "name", "", "the job's `name`")
	f.StringVar(&r.array, "array", "", "an array with these `indexes`: 0-31, 1,3,5, 1-7:2, 0-99%4")
	r.items.add(c, "a `file`")
	f.StringVar(&r.queue, "queue", "", "the `queue`")
	f.StringVar(&r.priority, "priority", "", "a `class`, critical, high, normal, low or background, or a number from -1000 to 1000; higher runs first")
	f.StringVar(&r.cpu, "cpu", "", "`processors`: 2, 0.5, 500m")
	f.StringVar(&r.memory, "memory", "", "memory, a `size`: 512Mi, 4G")
	f.StringArrayVar(&r.others, "resource", nil, "an `amount` of anything else, as job files have it: gpu=1, licence=2; may be repeated")
	f.IntVar(&r.nodes, "nodes", 0, "on so many workers at once, all or none: a `number`; each gets the resources")
	f.StringVar(&r.pool, "pool", "", "only on workers of this pool, a `name`")
	f.StringArrayVar(&r.where, "where", nil, "only on workers with this `label`, gpu or zone=b, or of which an expression is true, 'labels.zone in [\"a\", \"b\"]'; may be repeated")
	f.StringArrayVar(&r.prefer, "prefer", nil, "rather on workers with this `label`, of which an expression is true, or for which it comes to the highest number; cheapest goes by the label price; may be repeated")
	f.StringVar(&r.timeout, "timeout", "", "the longest an attempt may run: a `duration` such as 90s")
	f.IntVar(&r.attempts, "max-attempts", 1, "how often to try, the first time included: a `number`")
	f.StringArrayVarP(&r.envs, "env", "e", nil, "an environment variable, `NAME=value`; may be repeated")
	f.BoolVarP(&r.detach, "detach", "d", false, "only submit; do not follow")
	return c
}

// check looks at flags that contradict each other.
func (r *runFlags) check(c *cobra.Command) error {
	if err := r.submitFlags.check(c); err != nil {
		return err
	}
	if r.items.throttle > 0 && r.array == "" && !r.items.given() {
		return errors.New("--throttle is for arrays; give --array, --each-line or --each-json as well")
	}
	if r.items.throttle > 0 && strings.Contains(r.array, "%") {
		return fmt.Errorf("--throttle stands beside the %% in --array %s; leave one of them out", r.array)
	}
	return nil
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
	for _, other := range r.others {
		name, amount, ok := strings.Cut(other, "=")
		if !ok || name == "" || amount == "" {
			return nil, fmt.Errorf("--resource %q: want an amount with its name, such as gpu=1", other)
		}
		if _, twice := resources[name]; twice {
			return nil, fmt.Errorf("--resource %q: %s is given twice; leave one of them out", other, name)
		}
		resources[name] = amount
	}
	if len(resources) > 0 {
		spec["resources"] = resources
	}
	top := map[string]string{}
	set(top, "name", r.name)
	if r.array != "" && r.items.throttle > 0 {
		spec["array"] = map[string]any{"indexes": r.array, "throttle": r.items.throttle}
	} else {
		set(top, "array", r.array)
	}
	set(top, "queue", r.queue)
	set(top, "pool", r.pool)
	set(top, "timeout", r.timeout)
	set(top, "priority", r.priority)
	for key, value := range top {
		spec[key] = value
	}
	if len(r.where) > 0 {
		spec["where"] = r.where
	}
	if len(r.prefer) > 0 {
		spec["prefer"] = r.prefer
	}
	if r.nodes != 0 {
		spec["nodes"] = r.nodes
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
		name, value, err := usage.Pair("env", text)
		if err != nil {
			return nil, err
		}
		if !utf8.ValidString(value) {
			return nil, fmt.Errorf("env %s: %q is not UTF-8 text, which a job file can't hold; put such bytes into a file", name, value)
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
		made, err := e.submitText(ctx, cl, "", text, s)
		if err != nil {
			return err
		}
		return e.submitted(made)
	}
	front := e.inForeground(cl) // before the job exists, so that no interrupt is missed
	defer front.end()
	made, err := e.submitText(ctx, cl, "", text, s)
	if err != nil {
		return err
	}
	if !e.Quiet {
		fmt.Fprintln(e.err, submittedText(made))
	}
	said := *e
	said.Out = e.err // the job's own output alone goes to standard output
	j, err := front.follow(ctx, made.GetId())
	if err != nil {
		return err
	}
	if err := said.ended([]*client.Job{j}); err != nil {
		return err
	}
	if c := j.GetExitCode(); c != 0 {
		return exitCode(c)
	}
	return nil
}

// follow shows a job's output until it has ended, and hands interrupts on to it.
func (f *foreground) follow(ctx context.Context, id string) (*client.Job, error) {
	following, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	var j *client.Job
	done := make(chan error, 1)
	go func() {
		var err error
		j, err = f.e.follow(following, f.client, id)
		done <- err
	}()
	quiet := time.NewTimer(whyAfter)
	defer quiet.Stop()
	for {
		select {
		case err := <-done:
			if errors.Is(err, syscall.EPIPE) {
				f.stop(ctx, id, syscall.SIGPIPE)
				return nil, exitCode(brokenPipeCode)
			}
			return j, err
		case <-quiet.C:
			if !f.e.Quiet {
				f.e.sayWhy(following, f.client, id, f.e.err)
			}
		case s := <-f.signals:
			if f.stop(ctx, id, s) {
				return nil, exitCode(interruptedCode)
			}
		}
	}
}

// whyAfter is how long nothing may happen before it is said why.
const whyAfter = 2 * time.Second

// sayWhy says why a job has not begun, if it has not. It is a service: without an
// answer it says nothing.
func (e *env) sayWhy(ctx context.Context, cl *client.Client, id string, to io.Writer) {
	why, err := cl.Explain(ctx, id)
	if err != nil {
		return
	}
	for _, t := range why.GetTasks() {
		if t.GetState() != "pending" || len(t.GetReasons()) == 0 {
			return
		}
	}
	for _, t := range why.GetTasks() {
		for _, r := range t.GetReasons() {
			fmt.Fprintf(to, "job %s waits: %s\n", id, render.Clean(r.GetText()))
		}
	}
}

// follow shows a job's output as it comes and returns the job once it has ended.
func (e *env) follow(ctx context.Context, cl *client.Client, id string) (*client.Job, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	shown := make(chan error, 1)
	go func() {
		err := showLogs(ctx, cl, id, client.LogOptions{Follow: true}, render.NewLog(e.Out, e.err, render.LogStyle{}).Piece)
		if errors.Is(err, syscall.EPIPE) {
			stop(err)
		}
		shown <- err
	}()
	j, err := cl.Follow(ctx, id, nil)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	const patience = 5 * time.Second // the last of the output may come after the end
	select {
	case err := <-shown:
		if err != nil && !errors.Is(err, context.Canceled) {
			fmt.Fprintf(e.err, "reeve: the output could not be read to its end: %v; see reeve logs %s\n", err, id)
		}
	case <-time.After(patience):
		fmt.Fprintf(e.err, "reeve: the output has not come to its end; see reeve logs %s\n", id)
	}
	return j, nil
}
