// Package cli is the command line: one file per command. A command reads its
// arguments, makes calls through package client, and prints; it decides nothing.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/reeve-scheduler/reeve/internal/app"
	"github.com/reeve-scheduler/reeve/internal/cli/bars"
	"github.com/reeve-scheduler/reeve/internal/cli/complete"
	"github.com/reeve-scheduler/reeve/internal/cli/course"
	"github.com/reeve-scheduler/reeve/internal/cli/fleet"
	"github.com/reeve-scheduler/reeve/internal/cli/outlook"
	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/simulate"
	"github.com/reeve-scheduler/reeve/internal/cli/spaces"
	"github.com/reeve-scheduler/reeve/internal/cli/stores"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Main runs the command line and returns the exit code: the job's own where a
// command waits for one, otherwise 0, or ownFailure when Reeve itself failed.
// release is the version that the build stamped, empty for none.
func Main(release string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends the program at once, but for commands that catch it. A second
	// SIGTERM does not: there are programs that send two, to say it once.
	context.AfterFunc(ctx, func() {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
		stop()
	})
	e := newEnv(release, stdin, stdout, stderr)
	root := e.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	if err == nil {
		return 0
	}
	code := e.failure
	if code < 1 || code > 255 { // it is itself what was wrong
		code = ownFailure
	}
	if ctx.Err() != nil && interrupted(err) {
		code = interruptedCode
		if _, told := errors.AsType[leftBehind](err); !told {
			err = errors.New("interrupted")
		}
	}
	for i, line := range strings.Split(strings.TrimSpace(err.Error()), "\n") {
		if i == 0 {
			line = "reeve: " + line
		}
		fmt.Fprintln(stderr, line)
	}
	return code
}

// newEnv reads what the environment says.
func newEnv(release string, stdin io.Reader, stdout, stderr io.Writer) *env {
	e := &env{Printer: render.Printer{Out: stdout}, in: stdin, err: stderr, built: app.Version(release), failure: ownFailure}
	if f, ok := stdout.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 1 {
			e.Columns = columns
		}
	}
	if n, err := strconv.Atoi(os.Getenv(failureEnv)); err == nil {
		e.failure = n
	}
	return e
}

// ownFailure is the exit code of Reeve's own failures, so that scripts can tell
// them from a job's. --failure-code sets another.
const ownFailure = 125

const failureEnv = "REEVE_FAILURE_CODE"

// exitCode ends the program with a code and says nothing more.
type exitCode int //nolint:errname // it is a code first, and an error only on its way out

// Error is never shown.
func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// env is what all commands share.
type env struct {
	render.Printer // to standard output

	in    io.Reader
	err   io.Writer
	built string // the version

	addr, tokenFile, caFile, namespace string
	verbose                            bool
	failure                            int
}

func (e *env) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "reeve",
		Short: "A distributed job scheduler: server, worker and command line in one",
		Long: `Reeve runs commands, arrays of them and graphs of them on any number of machines.

Start with   reeve demo            a server, three workers and a real job, here and now
then         reeve server --dev    a server without TLS on this machine alone
             reeve worker          a worker for it
             reeve run -- CMD…     run a command there and exit with its code`,
		SilenceErrors: true, SilenceUsage: true,
		Args:              usage.Subcommand,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return e.fromEnvironment() },
	}
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&e.addr, "addr", "", "the server's `address`, http(s)://host:port, or several with commas (or REEVE_ADDR; default http://"+app.DefaultListen+")")
	f.StringVar(&e.tokenFile, "token-file", "", "a `file` with the token (or REEVE_TOKEN_FILE; or the token itself in REEVE_TOKEN)")
	f.StringVar(&e.caFile, "ca", "", "the server's certificate authority, a PEM `file` (or REEVE_CA; default: the system's)")
	f.StringVarP(&e.namespace, "namespace", "n", "", "the `namespace` (or REEVE_NAMESPACE; default: default)")
	f.StringVarP(&e.Format, "output", "o", "table", "the `format`: table, wide, json or yaml")
	f.BoolVarP(&e.Quiet, "quiet", "q", false, "print ids or names only, or nothing")
	f.BoolVarP(&e.verbose, "verbose", "v", false, "log what happens in detail")
	f.IntVar(&e.failure, "failure-code", e.failure, "the exit `code` of Reeve's own failures (or REEVE_FAILURE_CODE)")
	root.SetFlagErrorFunc(usage.FlagError)
	root.SetHelpCommand(usage.Help())
	whole := stores.Commands{Printer: &e.Printer, In: e.in, Version: e.built}
	for _, command := range []func() *cobra.Command{
		e.demo, e.server, e.worker, e.keeper, e.demoStep, e.run, e.submit, e.validate, e.ls, e.show, e.logs, e.wait, e.retry,
		e.tokens, e.artifacts,
		whole.Backup, whole.Restore, whole.Migrate, e.version,
	} {
		root.AddCommand(command())
	}
	root.AddCommand(simulate.Env{Printer: &e.Printer, In: e.in, Err: e.err, Dial: e.connect, Space: e.space}.Command())
	jobs := course.Env{
		Printer: &e.Printer, On: e.on, Ref: e.ref, JobID: e.jobID, Failed: e.failed, Failure: func() error { return exitCode(e.failure) },
	}
	root.AddCommand(jobs.Commands()...)
	root.AddCommand(fleet.Env{Printer: &e.Printer, On: e.on}.Commands()...)
	ahead := outlook.Env{Printer: &e.Printer, On: e.on, Ref: e.ref, Asking: e.asking, Exit: func(code int) error { return exitCode(code) }}
	root.AddCommand(ahead.Commands()...)
	root.AddCommand(spaces.Env{Printer: &e.Printer, On: e.on, Namespace: func() string { return e.namespace }}.Commands()...)
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Short, c.Long = "Print a script that completes words in a shell", "Print a script that completes words in a shell; each shell's own help says how to use it."
		c.Args, c.RunE = usage.Subcommand, root.RunE
	}
	words := complete.Source{Namespace: e.space, Dial: func() (*client.Client, error) {
		if err := e.fromEnvironment(); err != nil {
			return nil, err
		}
		return e.connect()
	}}
	words.Add(root)
	return root
}

// defaultAddr is where a development server is.
const defaultAddr = "http://" + app.DefaultListen

// fromEnvironment fills in what flags left to the environment, and looks at the flags
// that all commands share.
func (e *env) fromEnvironment() error {
	if addr := cmp.Or(e.addr, os.Getenv("REEVE_ADDR"), defaultAddr); e.caFile != "" && strings.HasPrefix(addr, "http://") {
		return fmt.Errorf("--ca %s: %s is an address without TLS, where no server can be known; write https://, or leave --ca out", e.caFile, addr)
	}
	for _, s := range []struct {
		flag     *string
		variable string
	}{{&e.addr, "REEVE_ADDR"}, {&e.tokenFile, "REEVE_TOKEN_FILE"}, {&e.caFile, "REEVE_CA"}, {&e.namespace, "REEVE_NAMESPACE"}} {
		if *s.flag == "" {
			*s.flag = os.Getenv(s.variable)
		}
	}
	if v := os.Getenv(failureEnv); v != "" {
		if _, err := strconv.Atoi(v); err != nil {
			return fmt.Errorf("%s=%.40q: want 1 to 255", failureEnv, v)
		}
	}
	if e.failure < 1 || e.failure > 255 {
		return fmt.Errorf("--failure-code %d: want 1 to 255", e.failure)
	}
	switch e.Format {
	case "table", "wide", "json", "yaml":
		return nil
	}
	return fmt.Errorf("--output %q: want table, wide, json or yaml", e.Format)
}

// connection is how to reach the server by flags and environment.
func (e *env) connection() (app.Connection, error) {
	c := app.Connection{Address: e.addr, Token: strings.TrimSpace(os.Getenv("REEVE_TOKEN")), CAFile: e.caFile}
	if c.Address == "" {
		c.Address = defaultAddr
	}
	if e.tokenFile != "" && c.Token == "" {
		b, err := os.ReadFile(e.tokenFile)
		if err != nil {
			return c, fmt.Errorf("read the token: %w", err)
		}
		c.Token = strings.TrimSpace(string(b))
	}
	return c, nil
}

// connect returns a client.
func (e *env) connect() (*client.Client, error) {
	c, err := e.connection()
	if err != nil {
		return nil, err
	}
	return app.Dial(c, "reeve/"+e.built)
}

// logger logs to the terminal in colour, elsewhere in plain text.
func (e *env) logger() *slog.Logger {
	level := slog.LevelInfo
	if e.verbose {
		level = slog.LevelDebug
	}
	if f, ok := e.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" {
		return slog.New(tint.NewTextHandler(f, &tint.Options{Level: level, TimeFormat: time.TimeOnly}))
	}
	return slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: level}))
}

// terminal reports whether progress can be drawn.
func (e *env) terminal() bool {
	f, ok := e.err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && !e.Quiet && os.Getenv("TERM") != "dumb"
}

// bars is how progress is shown.
func (e *env) bars() bars.Options {
	return bars.Options{Out: e.err, Terminal: e.terminal(), Lines: !e.Quiet && !e.Structured()}
}

// on makes a command of what it does with a client.
func (e *env) on(do func(ctx context.Context, cl *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		cl, err := e.connect()
		if err != nil {
			return err
		}
		defer cl.Close()
		return do(c.Context(), cl, args)
	}
}

// jobID reads a job id, or finds the newest job for "last".
func (e *env) jobID(ctx context.Context, c *client.Client, text string) (job.ID, error) {
	if text != "last" {
		id, err := job.ParseID(text)
		if err != nil && strings.Contains(text, ".") {
			return 0, fmt.Errorf("%q is a part of a job; this is for whole jobs, such as 4217 or last", text)
		}
		return id, err
	}
	page, err := c.List(ctx, &client.ListRequest{Namespace: e.space(), PageSize: 1})
	if err != nil {
		return 0, err
	}
	if len(page.GetJobs()) == 0 {
		return 0, fmt.Errorf("there is no last job in namespace %s", e.space())
	}
	return job.ParseID(page.GetJobs()[0].GetId())
}

// ref reads a reference whose job may be "last", such as last.transform.3.
func (e *env) ref(ctx context.Context, c *client.Client, text string) (job.Ref, error) {
	if rest, ok := strings.CutPrefix(text, "last"); ok {
		id, err := e.jobID(ctx, c, "last")
		if err != nil {
			return job.Ref{}, err
		}
		text = id.String() + rest
	}
	return job.ParseRef(text)
}

// space is the namespace to use.
func (e *env) space() string {
	if e.namespace == "" {
		return "default"
	}
	return e.namespace
}

// failed says what went wrong, where a command goes on with something else.
func (e *env) failed(err error) {
	fmt.Fprintln(e.err, "reeve:", strings.ReplaceAll(err.Error(), "\n", "\nreeve: "))
}
