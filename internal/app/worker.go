package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent"
	"github.com/reeve-scheduler/reeve/internal/agent/inventory"
	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/process"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/metrics"
	"github.com/reeve-scheduler/reeve/internal/trust"
)

// WorkerConfig says what worker to run.
type WorkerConfig struct {
	// Dir is the state directory.
	Dir  string
	Name string
	// Connection is how to reach the server; Join, if set, says it instead, and JoinFile
	// is a file with it.
	Connection Connection
	Join       string
	JoinFile   string
	Labels     map[string]string
	// Has is what the worker has where that is not what its machine has.
	Has inventory.Choice
	// Pool is where it belongs; empty for the default.
	Pool     string
	Slots    int
	Prefetch int
	PassEnv  []string
	// LeaveRunning leaves what runs to the next worker of Dir when this one ends;
	// otherwise it is waited for, LeaveWait at most.
	LeaveRunning bool
	LeaveWait    time.Duration
	// KeeperIdle is how long the keeper stays once there is neither worker nor
	// attempt; 0 keeps process's default.
	KeeperIdle time.Duration
	// Admin is as in ServerConfig.
	Admin   string
	Version string
	Log     *slog.Logger
}

// Connection is how to reach and know a server.
type Connection struct {
	// Address is as in client.Options.
	Address string
	Token   string
	// CAFile is the server's certificate authority; without it the system's roots
	// count.
	CAFile string
	// Pin is the fingerprint of the server's authority, from a join token.
	Pin trust.Fingerprint
}

// Dial returns a client for a connection.
func Dial(c Connection, agent string) (*client.Client, error) {
	return client.New(client.Options{Address: c.Address, Token: c.Token, UserAgent: agent, TLS: func(host string) (*tls.Config, error) {
		return trust.ClientConfig(host, trust.ClientOptions{Pin: c.Pin, CAFile: c.CAFile})
	}})
}

// YieldProcessors keeps this program to a quarter of the processors, at least one, unless
// GOMAXPROCS is set: the rest is for what a worker runs. Fewer also cost less, since what
// starts and ends a process is many small steps, and each that wakes a sleeping
// processor takes longer than the step.
func YieldProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0)/4, 1))
	}
}

// RunWorker works until ctx ends.
func RunWorker(ctx context.Context, c WorkerConfig) (err error) {
	counts := metrics.NewWorker(c.Version)
	if c.Admin != "" {
		a, openErr := openAdmin(ctx, c.Admin, counts.Handler(c.Log), c.Log)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, a.close()) }()
	}
	if c.Slots < 0 {
		return fmt.Errorf("%d slots: want at least 1, or none for the default", c.Slots)
	}
	if c.Slots > link.MaxSlots { // the server would not have it, again and again
		return fmt.Errorf("%d slots: want %d at most", c.Slots, link.MaxSlots)
	}
	if c.JoinFile != "" {
		if c.Join, err = readJoin(c); err != nil {
			return err
		}
	}
	if c.Join != "" {
		if c.Connection, err = joined(ctx, c); err != nil {
			return err
		}
	}
	cl, err := Dial(c.Connection, "reeve-worker/"+c.Version)
	if err != nil {
		return err
	}
	defer cl.Close()
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, which is also the keeper: %w", err)
	}
	stock, err := inventory.Find(ctx, dir, c.Has)
	if err != nil {
		return err
	}
	for _, trouble := range stock.Trouble {
		c.Log.Warn("can't find out what this machine has", "error", trouble)
	}
	a, err := agent.New(agent.Config{
		Server: cl.Agent(), Dir: dir, Name: c.Name, Labels: c.Labels, Pool: c.Pool, Slots: c.Slots, Prefetch: c.Prefetch,
		Capacity: stock.Capacity, Devices: stock.Devices, About: stock.About,
		PassEnv: c.PassEnv, LeaveRunning: c.LeaveRunning, LeaveWait: c.LeaveWait, Version: c.Version, Log: c.Log, Observer: counts,
		Executors: []agent.Kind{{Name: "process", Open: func(ctx context.Context, events executor.Events) (executor.Executor, error) {
			return process.New(ctx, process.Config{Dir: dir, Keeper: []string{self, "keeper"}, Idle: c.KeeperIdle, Events: events, Log: c.Log})
		}}},
	})
	if err != nil {
		return err
	}
	has := a.Config()
	c.Log.Info("working", "name", has.Name, "server", cl.Address, "state", dir, "cpu", job.FormatCPU(has.Capacity.CPU),
		"memory", job.FormatSize(has.Capacity.Memory), "resources", has.Capacity.Other.Text(), "slots", has.Slots, "pool", has.Pool)
	return a.Run(ctx)
}

// readJoin reads the join token's file. One that is empty must not make the worker join
// another server by another way.
func readJoin(c WorkerConfig) (string, error) {
	if c.Join != "" {
		return "", errors.New("a join token and a file with one are given; leave one out")
	}
	b, err := os.ReadFile(c.JoinFile)
	if err != nil {
		return "", fmt.Errorf("read the join token: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", fmt.Errorf("read the join token: %s is empty; write into it what reeve tokens create --join prints", c.JoinFile)
	}
	return text, nil
}

// joined turns a join token into a connection to the servers that it names, of which one
// must answer.
func joined(ctx context.Context, c WorkerConfig) (Connection, error) {
	j, err := auth.ParseJoin(c.Join)
	if err != nil {
		return Connection{}, err
	}
	conn := Connection{Address: "https://" + strings.Join(j.Addresses, ",https://"), Token: j.Credential.Text(), Pin: j.CA}
	if err := answers(ctx, conn, c.Version); err != nil {
		return Connection{}, fmt.Errorf("no address of the join token answers: %w", err)
	}
	return conn, nil
}

func answers(ctx context.Context, conn Connection, version string) error {
	cl, err := Dial(conn, "reeve-worker/"+version)
	if err != nil {
		return err
	}
	defer cl.Close()
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return cl.Check(ctx)
}
