package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/app"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/executor/process"
)

func (e *env) server() *cobra.Command {
	var s app.ServerConfig
	c := &cobra.Command{
		Use:   "server",
		Short: "Run a server",
		Long: `Run a server. It keeps its state in one directory, makes its own certificate authority and certificate on first
start, and writes an administrator's token to admin.token there. With --dev it has neither TLS nor tokens and listens on
loopback only.

With --store any number of servers share one PostgreSQL database: one of them leads, the others stand by, answer what
reads and send on the rest; any of them may die. See docs/operations.md.`,
		Example: `  reeve server                        alone, on this machine
  reeve server --dev                  the same without TLS and tokens, to try it out
  reeve server --listen :7420 --store postgres://reeve@db.example/reeve --store-password-file db.password \
    --blobs /srv/reeve --advertise server1.example:7420,server2.example:7420`,
		Args: usage.Count(0, 0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if s.Dir == "" {
				s.Dir = app.StateDir("server")
			}
			switch flags := c.Flags(); {
			case flags.Changed("lease") && s.Lease < time.Second:
				return fmt.Errorf("--lease %s: at least 1s", s.Lease)
			case flags.Changed("retention") && s.Retention == 0: // which leaves the default
				return fmt.Errorf("--retention %s: want more than nothing", s.Retention)
			}
			if s.Store, err = usage.StoreURL(s.Store); err != nil {
				return err
			}
			s.Log, s.Version = e.logger(), e.built
			s.Ready = func(url string) { e.served(url, &s) }
			return app.RunServer(c.Context(), s)
		},
	}
	f := c.Flags()
	f.StringVar(&s.Dir, "data", "", "the data `directory` (default: $XDG_STATE_HOME/reeve/server or ~/.local/state/reeve/server)")
	f.StringVar(&s.Listen, "listen", app.DefaultListen, "where to listen, `host:port`; :7420 for every address")
	f.StringVar(&s.Store, "store", "", "the `url` of a PostgreSQL database that servers share (or REEVE_STORE; default: the data directory)")
	f.StringVar(&s.PasswordFile, "store-password-file", "", "a `file` with the password for it (default: PGPASSWORD, or the file that PGPASSFILE names)")
	f.StringVar(&s.Blobs, "blobs", "", "where servers that share a database keep logs and artifacts, a `place`: a directory that all of them have, or a bucket: s3://bucket/prefix, gs://bucket/prefix, azblob://container/prefix")
	f.BoolVar(&s.Dev, "dev", false, "without TLS and tokens, on loopback only")
	f.StringVar(&s.CertFile, "tls-cert", "", "your own certificate with its chain, a PEM `file` (default: one made here)")
	f.StringVar(&s.KeyFile, "tls-key", "", "its key, a PEM `file`")
	f.StringSliceVar(&s.Names, "tls-name", nil, "more `names` for the certificate made here")
	f.StringSliceVar(&s.Advertise, "advertise", nil, "`host:port` that join tokens name (default: this machine's addresses); with --store other servers reach this one at the first")
	usage.Duration(f, &s.Lease, "lease", "after how long, a `duration`, without a word a worker's attempts are lost, where jobs don't say (default 60s)")
	usage.Duration(f, &s.Retention, "retention", "how long, a `duration`, finished jobs are kept, where they don't say (default 30d)")
	f.StringVar(&s.Admin, "admin", "", "answer /metrics and go tool pprof here, `host:port` on loopback")
	return c
}

// served tells how to reach the server, once.
func (e *env) served(url string, s *app.ServerConfig) {
	if e.Quiet {
		return
	}
	fmt.Fprintf(e.err, "\n  export REEVE_ADDR=%s\n", url)
	if !s.Dev {
		dir := s.Dir // the lines are pasted in shells that are elsewhere
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
		// Of several servers one has made it.
		if token := filepath.Join(dir, app.AdminTokenFile); exists(token) {
			fmt.Fprintf(e.err, "  export REEVE_TOKEN_FILE=%s\n", token)
		}
		if s.CertFile == "" {
			fmt.Fprintf(e.err, "  export REEVE_CA=%s\n", filepath.Join(dir, app.CAFile))
		}
	}
	fmt.Fprintln(e.err)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func (e *env) worker() *cobra.Command {
	var w app.WorkerConfig
	var labels []string
	var has usage.Has
	var untilEOF bool
	c := &cobra.Command{
		Use:   "worker",
		Short: "Run a worker, which dials out to a server and runs attempts",
		Long: `Run a worker. It takes as many attempts as it has room for: processors, memory, scratch space where its state
directory is, NVIDIA's GPUs, the network of its fastest interface, and what it is told that it has. --resource and --device
say otherwise: jobs that ask for resources: {licence: 1} run where licences are counted.`,
		Example: `  reeve worker                        for a development server on this machine
  reeve worker --join rvj1_…          for any other: the token is what reeve tokens create --join prints
  reeve worker --resource licence=3 --device gpu=0,1 --pool night`,
		Args: usage.Count(0, 0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if w.Dir == "" {
				w.Dir = app.StateDir("worker")
			}
			if c.Flags().Changed("leave-wait") && w.LeaveWait == 0 {
				w.LeaveWait = -1
			}
			if w.Labels, err = usage.Labels(labels); err != nil {
				return err
			}
			if w.Has, err = has.Choice(); err != nil {
				return err
			}
			if w.Join == "" && w.JoinFile == "" {
				w.Join = os.Getenv("REEVE_JOIN")
			}
			if w.Connection, err = e.connection(); err != nil {
				return err
			}
			w.Log, w.Version = e.logger(), e.built
			ctx := c.Context()
			if untilEOF {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				defer cancel()
				go func() {
					_, _ = io.Copy(io.Discard, e.in) // an error too means that nobody holds the other end
					cancel()
				}()
			}
			app.YieldProcessors()
			return app.RunWorker(ctx, w)
		},
	}
	f := c.Flags()
	f.StringVar(&w.Dir, "state", "", "the state `directory`, one per worker (default: $XDG_STATE_HOME/reeve/worker or ~/.local/state/reeve/worker)")
	f.StringVar(&w.Name, "name", "", "the worker's `name` (default: the host's)")
	f.StringVar(&w.Join, "join", "", "a join `token` (or REEVE_JOIN); others on this machine can read what is on a command line")
	f.StringVar(&w.JoinFile, "join-file", "", "a `file` with the join token")
	f.StringArrayVarP(&labels, "label", "l", nil, "a label, `key=value`; may be repeated (os, arch and host are there already)")
	f.StringVar(&w.Pool, "pool", "", "the pool that it is in, a `name` (default: default); its label pool says the same")
	f.StringVar(&has.CPU, "cpu", "", "`processors` to give (default: all of this machine or container, at least 1)")
	f.StringVar(&has.Memory, "memory", "", "memory to give, a `size` (default: all of this machine or container)")
	f.StringArrayVar(&has.Resources, "resource", nil, "how much it has of anything else, `name=amount`; may be repeated, 0 for none (default: disk, gpu and bandwidth of this machine)")
	f.StringArrayVar(&has.Devices, "device", nil, "the ids of its devices, `name=id,id`; may be repeated (default: gpu, as nvidia-smi says)")
	f.IntVar(&w.Slots, "slots", 0, "the `number` of attempts that run at the same time (default: one per processor)")
	f.IntVar(&w.Prefetch, "prefetch", 0, "the `number` of more attempts that are held ready (default: as many as slots, at least 8; -1 for none)")
	f.StringSliceVar(&w.PassEnv, "pass-env", nil, "`variables` of this environment that attempts get")
	f.BoolVar(&w.LeaveRunning, "leave-running", false, "when stopped, leave what runs to the next worker of the same state directory")
	usage.Duration(f, &w.LeaveWait, "leave-wait", "when stopped, how long, a `duration`, to wait for what runs (default 30s; 0 for not at all)")
	f.BoolVar(&untilEOF, "until-eof", false, "stop when standard input ends, as it does when the program that holds its other end dies")
	f.StringVar(&w.Admin, "admin", "", "answer /metrics and go tool pprof here, `host:port` on loopback")
	usage.Duration(f, &w.KeeperIdle, "keeper-idle", "how long, a `duration`, the keeper stays once there is neither worker nor attempt (default 1m); results that no worker has fetched keep it for an hour")
	return c
}

// keeper is the hidden program that owns a worker's processes.
func (e *env) keeper() *cobra.Command {
	return &cobra.Command{
		Use: "keeper", Short: "Own the processes of a worker (started by the worker)", Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := process.KeeperMain(args); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
}
