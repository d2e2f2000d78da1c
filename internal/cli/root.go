// Package cli is the command line: one file per command. A command reads its
// arguments, makes calls through package client, and prints; it decides nothing.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/reeve-scheduler/reeve/internal/app"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Main runs the command line and returns the exit code: the job's own where a
// command waits for one, otherwise 0, or ownFailure when Reeve itself failed.
// release is the version that the build stamped, empty for none.
func Main(release string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if release == "" {
		release = builtVersion()
	}
	e := &env{in: stdin, out: stdout, err: stderr, built: release}
	root := e.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || job.CodeOf(err) == job.Unavailable):
		fmt.Fprintln(stderr, "reeve: interrupted")
		return 130
	}
	for i, line := range strings.Split(strings.TrimSpace(err.Error()), "\n") {
		if i == 0 {
			line = "reeve: " + line
		}
		fmt.Fprintln(stderr, line)
	}
	return e.failure
}

// ownFailure is the exit code of Reeve's own failures, so that scripts can tell
// them from a job's. --failure-code sets another.
const ownFailure = 125

// exitCode ends the program with a code and says nothing more.
type exitCode int //nolint:errname // it is a code first, and an error only on its way out

// Error is never shown.
func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// env is what all commands share.
type env struct {
	in       io.Reader
	out, err io.Writer
	built    string // the version

	addr, tokenFile, caFile, namespace string
	output                             string
	quiet, verbose                     bool
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
		PersistentPreRunE: func(*cobra.Command, []string) error { return e.check() },
	}
	f := root.PersistentFlags()
	f.StringVar(&e.addr, "addr", os.Getenv("REEVE_ADDR"), "the server's address, http(s)://host:port (REEVE_ADDR; default http://"+app.DefaultListen+")")
	f.StringVar(&e.tokenFile, "token-file", os.Getenv("REEVE_TOKEN_FILE"), "a file with the token (REEVE_TOKEN_FILE; or the token itself in REEVE_TOKEN)")
	f.StringVar(&e.caFile, "ca", os.Getenv("REEVE_CA"), "the server's certificate authority, a PEM file (REEVE_CA; default: the system's)")
	f.StringVarP(&e.namespace, "namespace", "n", os.Getenv("REEVE_NAMESPACE"), "the namespace (REEVE_NAMESPACE; default: default)")
	f.StringVarP(&e.output, "output", "o", "table", "how to print: table, wide, json, yaml")
	f.BoolVarP(&e.quiet, "quiet", "q", false, "print ids only, or nothing")
	f.BoolVarP(&e.verbose, "verbose", "v", false, "log what happens in detail")
	f.IntVar(&e.failure, "failure-code", ownFailure, "the exit code of Reeve's own failures")
	e.failure = ownFailure
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
	})
	for _, command := range []func() *cobra.Command{
		e.demo, e.server, e.worker, e.keeper, e.demoStep, e.run, e.submit, e.validate, e.ls, e.show, e.logs, e.wait, e.cancel, e.kill, e.retry,
		e.hold, e.release, e.explain, e.queues, e.namespaces, e.workers, e.drain, e.tokens, e.artifacts, e.version,
	} {
		root.AddCommand(command())
	}
	return root
}

func (e *env) check() error {
	switch e.output {
	case "table", "wide", "json", "yaml":
		return nil
	}
	return fmt.Errorf("--output %q: want table, wide, json or yaml", e.output)
}

// connection is how to reach the server by flags and environment.
func (e *env) connection() (app.Connection, error) {
	c := app.Connection{Address: e.addr, Token: strings.TrimSpace(os.Getenv("REEVE_TOKEN")), CAFile: e.caFile}
	if c.Address == "" {
		c.Address = "http://" + app.DefaultListen
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
	return ok && term.IsTerminal(int(f.Fd())) && !e.quiet && os.Getenv("TERM") != "dumb"
}

// dataDir is where servers and workers keep their state if nothing else is said.
func dataDir(kind string) string {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "reeve", kind)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(".", "reeve-"+kind)
	}
	return filepath.Join(home, ".local", "state", "reeve", kind)
}

// jobID reads a job id, or finds the newest job for "last".
func (e *env) jobID(ctx context.Context, c *client.Client, text string) (job.ID, error) {
	if text != "last" {
		return job.ParseID(text)
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
