package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent/inventory"
	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/agent/workspace"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Config says what worker an agent is. Zero values get the defaults named.
type Config struct {
	Server Server
	// Executors are opened when Run starts and closed when it ends.
	Executors []Kind
	// Dir is the state directory, absolute, for one agent at a time. Without one
	// nothing survives the process: for workers that are functions of a program.
	Dir string
	// Name is the worker's, for one agent at a time; default the host's name made fit for
	// one, and without Dir a random part, for there may be many on a host.
	Name string
	// Labels are added to os, arch and host.
	Labels map[string]string
	// Capacity is what attempts may use together; default all that the process has of
	// processors and memory, and nothing else.
	Capacity job.Resources
	// Devices are those of Capacity that have ids: as many as it says there.
	Devices job.Devices
	// Pool is where the worker belongs, which its label pool says, too; default "default".
	Pool string
	// About is what there is to know of what it has, in words.
	About []string
	// Slots is how many attempts run at the same time; default one per processor.
	Slots int
	// Prefetch is how many more are held ready; default Slots, but at least 8, so that
	// short ones can be told of together. Less than 0 is none.
	Prefetch int
	// Functions are the handlers that the program has.
	Functions []string
	// Version is the program's.
	Version string
	// Incarnation is random unless set; with a state directory it comes from there, so
	// that it rises.
	Incarnation uint64
	// PassEnv names variables of the agent's own environment that attempts get
	// besides PATH, HOME, LANG, TZ and USER.
	PassEnv []string

	// LeaveRunning leaves processes to the next agent of Dir when this one ends.
	LeaveRunning bool
	// LeaveWait is how long what runs is waited for, and LeaveGrace how long from
	// SIGTERM to SIGKILL after that; defaults 30s and 10s. Less than 0 is none.
	LeaveWait, LeaveGrace time.Duration
	// KeepAfter: results of attempts that ran longer are kept on disk; default 30s.
	KeepAfter time.Duration
	// LogWait is how long a finished attempt's log is offered to the server;
	// default 10m.
	LogWait time.Duration
	// Reconnect bounds the wait between two connects; default 5s.
	Reconnect time.Duration
	// Limits bound what attempts leave and fetch; defaults 10,000 files and 16 GiB,
	// 100,000 files and 64 GiB.
	Limits workspace.Limits

	// Observer is told what the agent does. It may be nil.
	Observer Observer
	Log      *slog.Logger
	// Clock is for tests; default the boot and wall clocks.
	Clock func() will.Now
}

// Observer is told what an agent does. Its methods are quick, do not block, and may be
// called concurrently.
type Observer interface {
	// Fares is told how the worker fares after each step.
	Fares(will.Vitals)
	// Ran is told how an attempt ended that ran here.
	Ran(cause job.CauseKind)
}

// unobserved is an Observer that looks away.
type unobserved struct{}

func (unobserved) Fares(will.Vitals) {}
func (unobserved) Ran(job.CauseKind) {}

// Kind is one executor of an agent.
type Kind struct {
	// Name is what tasks ask for: process or function.
	Name string
	// Open opens it; ctx ends the opening alone.
	Open func(ctx context.Context, events executor.Events) (executor.Executor, error)
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	switch {
	case *v == 0:
		*v = d
	case *v < 0:
		*v = 0
	}
}

// complete fills in the defaults.
func (c *Config) complete() error {
	if c.Server == nil || c.Log == nil {
		return errors.New("agent: Config needs a Server and a Log")
	}
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		return fmt.Errorf("agent: state directory %q: want an absolute path", c.Dir)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	if c.Incarnation == 0 {
		c.Incarnation = rand.Uint64() | 1
	}
	if c.Name == "" {
		c.Name = nameFrom(host)
		if c.Dir == "" {
			suffix := fmt.Sprintf("-%08x", uint32(c.Incarnation>>32))
			c.Name = c.Name[:min(len(c.Name), job.MaxName-len(suffix))] + suffix
		}
	}
	if err := job.CheckName(c.Name); err != nil {
		return fmt.Errorf("agent: worker: %w", err)
	}
	if c.Capacity.CPU <= 0 {
		// At least one, which is what a task gets that asks for nothing.
		c.Capacity.CPU = max(inventory.Processors(), 1000)
	}
	if c.Capacity.Memory <= 0 {
		c.Capacity.Memory = inventory.Memory()
	}
	orDefault(&c.Slots, max(int(c.Capacity.CPU/1000), 1))
	orDefault(&c.Prefetch, max(c.Slots, 8))
	orDefault(&c.LeaveWait, 30*time.Second)
	orDefault(&c.LeaveGrace, 10*time.Second)
	orDefault(&c.KeepAfter, 30*time.Second)
	orDefault(&c.LogWait, 10*time.Minute)
	orDefault(&c.Reconnect, 5*time.Second)
	orDefault(&c.Limits.ArtifactFiles, 10_000)
	orDefault(&c.Limits.ArtifactBytes, 16<<30)
	orDefault(&c.Limits.InputFiles, 100_000)
	orDefault(&c.Limits.InputBytes, 64<<30)
	if err := c.completePool(); err != nil {
		return err
	}
	labels := map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH, "host": host, link.PoolLabel: c.Pool}
	maps.Copy(labels, c.Labels)
	c.Labels = labels
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	if c.Clock == nil {
		c.Clock = func() will.Now { return will.Now{Boot: executor.Now(), Wall: time.Now().UnixMilli()} }
	}
	return nil
}

// completePool fills in the pool. A label that says another is a mistake.
func (c *Config) completePool() error {
	label, said := c.Labels[link.PoolLabel]
	switch {
	case c.Pool == "" && said:
		c.Pool = label
	case c.Pool == "":
		c.Pool = defaultPool
	case said && label != c.Pool:
		return fmt.Errorf("agent: the worker's pool is %s, and its label says %s=%s: leave one of them out", c.Pool, link.PoolLabel, label)
	}
	if err := job.CheckName(c.Pool); err != nil {
		return fmt.Errorf("agent: pool: %w", err)
	}
	return nil
}

// defaultPool is the pool of workers that say nothing.
const defaultPool = "default"

// settings are the machine's.
func (c *Config) settings(instance string, about []string) will.Settings {
	s := will.Settings{
		Hello: link.Hello{
			Protocol: link.Protocol, Name: c.Name, Instance: instance, Incarnation: c.Incarnation,
			Labels: c.Labels, Capacity: c.Capacity, Devices: c.Devices, Pool: c.Pool, Slots: c.Slots, Prefetch: c.Prefetch,
			Functions: c.Functions, Version: c.Version, Host: c.Labels["host"], About: about,
		},
		Seed: c.Incarnation, ReadSpec: canon.Read, Durable: c.Dir != "",
		KeepAfter: c.KeepAfter, LogWait: c.LogWait, LeaveRunning: c.LeaveRunning && c.Dir != "",
		LeaveWait: c.LeaveWait, LeaveGrace: c.LeaveGrace, Reconnect: c.Reconnect,
	}
	for _, k := range c.Executors {
		s.Hello.Executors = append(s.Hello.Executors, k.Name)
	}
	return s
}

// nameFrom makes a worker's name of a host's: small letters, digits and dashes.
func nameFrom(host string) string {
	var b []byte
	for i := 0; i < len(host) && len(b) < job.MaxName; i++ {
		c := host[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		letter, digit := 'a' <= c && c <= 'z', '0' <= c && c <= '9'
		switch {
		case c == '.' && len(b) > 0: // the domain is of no interest
			i = len(host)
		case letter || digit && len(b) > 0:
			b = append(b, c)
		case len(b) > 0 && b[len(b)-1] != '-':
			b = append(b, '-')
		}
	}
	for len(b) > 0 && b[len(b)-1] == '-' {
		b = b[:len(b)-1]
	}
	if job.CheckName(string(b)) != nil {
		return "worker"
	}
	return string(b)
}
