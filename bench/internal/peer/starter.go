package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// Starter is a running system whose jobs are processes.
type Starter interface {
	// Run runs a command n times, and returns when all have ended. With keep their output is
	// kept in files or wherever the system keeps it.
	Run(n int, command []string, keep bool) error
	Parts() []proc.Part
	Close() error
}

// StarterSystem is a kind of Starter.
type StarterSystem struct {
	Name, Durability string
	Kind             figure.Kind
	Start            func(*Site) (Starter, error)
	// Rate is a guess at the processes a second, 0 for many.
	Rate int
}

// AtOnce is how many processes run at a time: one a processor.
func AtOnce() int { return runtime.NumCPU() }

// Starters are the systems that run processes, and what no system can beat.
func Starters() []StarterSystem {
	at := strconv.Itoa(AtOnce())
	return []StarterSystem{
		{"GNU parallel -j" + at, "nothing", figure.Peer, startParallel, 200},
		{"Slurm, an array", "5 s", figure.Peer, func(s *Site) (Starter, error) { return s.StartSlurm(SlurmCPUs) }, 60},
	}
}

// StarterLimits are programs that only start others.
func StarterLimits() []StarterSystem {
	at := strconv.Itoa(AtOnce())
	return []StarterSystem{
		{"fork and exec, " + at + " at a time", "", figure.Limit, startBare, 1000},
		{"xargs -P" + at, "", figure.Limit, startXargs, 1000},
	}
}

// piped is a program that reads a line for each process to start.
type piped struct {
	s       *Site
	command []string
}

func startParallel(s *Site) (Starter, error) {
	if _, err := exec.LookPath("parallel"); err != nil {
		return nil, errors.New("GNU parallel is not installed")
	}
	return piped{s, []string{"parallel", "--will-cite", "-j" + strconv.Itoa(AtOnce()), "-N0"}}, nil
}

func startXargs(s *Site) (Starter, error) {
	return piped{s, []string{"xargs", "-P" + strconv.Itoa(AtOnce()), "-I{}"}}, nil
}

// Run keeps the output of all in one file.
func (p piped) Run(n int, command []string, _ bool) error {
	out, err := os.CreateTemp(p.s.Dir, "output-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	all := append(append([]string{}, p.command...), command...)
	c := exec.CommandContext(p.s.Context, all[0], all[1:]...)
	c.Stdin = strings.NewReader(strings.Repeat("x\n", n))
	c.Stdout = out
	var said strings.Builder
	c.Stderr = &said
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w: %.300s", all[0], err, said.String())
	}
	return nil
}

// Parts is this process, which the program and all that it starts end below.
func (piped) Parts() []proc.Part { return []proc.Part{proc.Itself()} }

// Close has nothing to do.
func (piped) Close() error { return nil }

// bare is a loop of this program.
type bare struct{ s *Site }

func startBare(s *Site) (Starter, error) { return bare{s}, nil }

// Run starts with a goroutine for each that runs at a time, and does nothing else.
func (b bare) Run(n int, command []string, _ bool) error {
	out, err := os.CreateTemp(b.s.Dir, "output-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	return startAll(b.s.Context, n, command, out)
}

func startAll(ctx context.Context, n int, command []string, out *os.File) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, AtOnce())
	for i := range errs {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				c := exec.CommandContext(ctx, command[0], command[1:]...)
				c.Stdout = out
				if err := c.Run(); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Parts is this process.
func (bare) Parts() []proc.Part { return []proc.Part{proc.Itself()} }

// Close has nothing to do.
func (bare) Close() error { return nil }
