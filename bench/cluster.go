package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/trust"
)

// cluster is a server as users run it, with TLS and tokens, and what works for it.
type cluster struct {
	b   *bench
	dir string
	// args are the server's, beside those that every one has.
	args []string
	// postgres is its store, nil where that is its directory.
	postgres *peer.Postgres
	listen   string // where it listens: the same place each time
	server   *proc.Process
	worker   *proc.Process
	keeper   int
	// environment tells programs where the server is and who they are.
	environment []string
	// admin is where metrics and profiles of the server are, workerProfiles where those of a
	// worker of processes are.
	admin, workerProfiles string
	// client is as users have it; inside answers what only tools ask.
	client *reeve.Client
	inside *client.Client
}

const profilesAt = `profiles=(http://\S+/debug/pprof/)`

// newCluster starts a server on a fresh directory, with more arguments of its own.
func (b *bench) newCluster(args ...string) (*cluster, error) {
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return nil, err
	}
	c := &cluster{b: b, dir: dir, args: args, listen: "127.0.0.1:0"}
	return c, c.startServer()
}

// newSharedCluster starts a server whose store is an empty database, which others could share.
func (b *bench) newSharedCluster(s *peer.Site) (*cluster, error) {
	pg, err := s.StartPostgres()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return nil, errors.Join(err, pg.Close())
	}
	c := &cluster{b: b, dir: dir, postgres: &pg, listen: "127.0.0.1:0", args: []string{"--store", pg.URL(), "--blobs", dir + "/blobs"}}
	return c, c.startServer()
}

// startServer returns when it answers.
func (c *cluster) startServer() (err error) {
	data := c.dir + "/server"
	args := append([]string{"server", "--data", data, "--listen", c.listen, "--admin", "127.0.0.1:0"}, c.args...)
	if c.server, err = c.b.start(c.dir+"/server.log", c.b.binary, args...); err != nil {
		return err
	}
	profiles, err := c.server.Says(c.b.ctx, profilesAt)
	if err != nil {
		return err
	}
	c.admin = strings.TrimSuffix(profiles, "debug/pprof/")
	address, err := c.server.Says(c.b.ctx, `REEVE_ADDR=(\S+)`)
	if err != nil {
		return err
	}
	c.listen = strings.TrimPrefix(address, "https://")
	tokenFile, caFile := data+"/admin.token", data+"/tls/ca.crt"
	c.environment = append(os.Environ(), "REEVE_ADDR="+address, "REEVE_TOKEN_FILE="+tokenFile, "REEVE_CA="+caFile)
	if c.client, err = reeve.New(reeve.Config{Addr: address, TokenFile: tokenFile, CAFile: caFile}); err != nil {
		return err
	}
	if c.inside, err = c.dial(0); err != nil {
		return err
	}
	_, err = c.client.Ping(c.b.ctx)
	return err
}

// dial makes a client of that patience.
func (c *cluster) dial(patience time.Duration) (*client.Client, error) {
	token, err := os.ReadFile(c.dir + "/server/admin.token")
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{
		Address: c.client.Addr(), Token: strings.TrimSpace(string(token)), Patience: patience, UserAgent: "reeve-bench",
		TLS: func(host string) (*tls.Config, error) {
			return trust.ClientConfig(host, trust.ClientOptions{CAFile: c.dir + "/server/tls/ca.crt"})
		},
	})
}

// prepareFunctions starts a worker of functions that joins when it is told to.
func (c *cluster) prepareFunctions(slots, prefetch int) (err error) {
	c.worker, err = proc.StartSelf(c.b.ctx, c.dir+"/worker.log", c.environment, workerCommand, strconv.Itoa(slots), strconv.Itoa(prefetch))
	return err
}

// workProcesses starts a worker of processes, and returns when it has joined.
func (c *cluster) workProcesses(slots int) (err error) {
	cmd := exec.Command(c.b.binary, "worker", "--state", c.dir+"/worker", //nolint:noctx // it outlives calls, and stop ends it
		"--slots", strconv.Itoa(slots), "--cpu", strconv.Itoa(slots), "--keeper-idle", "1s", "--admin", "127.0.0.1:0")
	cmd.Env = c.environment
	if c.worker, err = proc.Start(c.dir+"/worker.log", cmd); err != nil {
		return err
	}
	if c.workerProfiles, err = c.worker.Says(c.b.ctx, profilesAt); err != nil {
		return err
	}
	if err := c.joined(); err != nil {
		return err
	}
	c.keeper, err = proc.ChildOf(c.worker.PID())
	return err
}

func (c *cluster) joined() error {
	return await(c.b.ctx, func() (bool, error) {
		s, err := c.inside.Status(c.b.ctx)
		return s.GetWorkers() > 0, err
	})
}

// drained waits until no job is unfinished. The server's answer leaves it when all that
// it saw is on disk.
func (c *cluster) drained() error {
	return await(c.b.ctx, func() (bool, error) {
		s, err := c.inside.Status(c.b.ctx)
		return s.GetPending() == 0, err
	})
}

// settle waits until the tables have what the journal has.
func (c *cluster) settle() error {
	return await(c.b.ctx, func() (bool, error) {
		s, err := c.inside.Status(c.b.ctx)
		return s.GetSequence() == s.GetProjectedSequence(), err
	})
}

// start runs a program that outlives calls; what it says is kept in a file of its name.
func (b *bench) start(log string, name string, args ...string) (*proc.Process, error) {
	return proc.Start(log, exec.Command(name, args...)) //nolint:noctx // Stop ends it
}

// await asks until something holds.
func await(ctx context.Context, holds func() (bool, error)) error {
	return proc.Await(ctx, pollEvery, holds)
}

// pollEvery is how often the end of a run is looked for, and so how inexact its time is.
const pollEvery = 5 * time.Millisecond

// parts are the processes of a cluster and this one, its client.
func (c *cluster) parts() []proc.Part {
	all := []proc.Part{proc.Itself(), {Role: proc.Server, PID: c.server.PID()}}
	if c.postgres != nil {
		all = append(all, c.postgres.Part())
	}
	if c.worker != nil {
		all = append(all, proc.Part{Role: proc.Worker, PID: c.worker.PID()})
	}
	if c.keeper != 0 {
		all = append(all, proc.Part{Role: proc.Keeper, PID: c.keeper}, proc.Part{Role: proc.Attempts, PID: c.keeper, Reach: proc.ItsEnded})
	}
	return all
}

// syncs counts the appends to the journal, an fsync each. The checkpoints of journal and
// tables are not among them; the disk's own counter has those too.
func (c *cluster) syncs() (int64, error) {
	n, err := c.metric("reeve_journal_append_seconds_count")
	return int64(n), err
}

// metric is what the server counts under a name without labels.
func (c *cluster) metric(name string) (float64, error) {
	text, err := answer(c.b.ctx, c.admin+"metrics", proc.Patience)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the server does not count %s", name)
}

// close stops everything and removes its data.
func (c *cluster) close() error {
	err := errors.Join(c.worker.Stop(), c.server.Stop())
	if c.keeper != 0 {
		err = errors.Join(err, await(c.b.ctx, func() (bool, error) { return syscall.Kill(c.keeper, 0) != nil, nil }))
	}
	if c.postgres != nil {
		err = errors.Join(err, c.postgres.Close())
	}
	if err != nil {
		return err // with the logs left to read
	}
	c.client.Close()
	return os.RemoveAll(c.dir)
}

// live is the bytes of the server's memory that are in use after a collection.
func (c *cluster) live() (int64, error) {
	text, err := answer(c.b.ctx, c.admin+"debug/pprof/heap?gc=1&debug=1", proc.Patience)
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`).FindStringSubmatch(string(text))
	if m == nil {
		return 0, fmt.Errorf("no HeapAlloc in the profile: %.100s", strings.TrimSpace(string(text)))
	}
	return strconv.ParseInt(m[1], 10, 64)
}

// profileTime is how much of a run its profile shows.
const profileTime = 4 * time.Second

// record keeps a profile of what the processors do from now on for that length, if asked
// for.
func (c *cluster) record(name string, length time.Duration) (wait func() error) {
	if c.b.profile == "" {
		return func() error { return nil }
	}
	done := make(chan error, 2)
	get := func(from, what string) {
		if from == "" {
			done <- nil
			return
		}
		done <- fetch(c.b.ctx, fmt.Sprintf("%sprofile?seconds=%d", from, int(length.Seconds())), filepath.Join(c.b.profile, name+what), length+proc.Patience)
	}
	go get(c.admin+"debug/pprof/", "-server.pprof")
	go get(c.workerProfiles, "-worker.pprof")
	return func() error { return errors.Join(<-done, <-done) }
}
