package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve"
)

const (
	processJobs = 2000
	// program is the shortest there is.
	program = "/bin/true"
)

// processes measures attempts that are processes, beside a loop that only starts them.
func (b *bench) processes() error {
	n, slots := b.count(processJobs), runtime.NumCPU()
	var rows [][]string
	bare, cost, err := b.bare(n, slots)
	if err != nil {
		return err
	}
	rows = append(rows, []string{"bare fork and exec", bare.show(whole), "", "", "", cost.show(hundredths), ""})
	for _, m := range []struct {
		name, file string
		run        func(*cluster, int) error
	}{
		{"one array", "array", (*cluster).trueArray},
		{"single jobs", "single", (*cluster).trueJobs},
	} {
		var rate sample
		var cost costs
		for i := range b.runs {
			took, spent, err := b.once(fmt.Sprintf("process-%s-%d", m.file, i), func(c *cluster) error { return c.workProcesses(slots) },
				func(c *cluster) error { return errors.Join(m.run(c, n), c.drained()) })
			if err != nil {
				return err
			}
			rate = append(rate, float64(n)/took.Seconds())
			cost.add(spent, took)
		}
		rows = append(rows, []string{m.name, rate.show(whole), hundredths(cost.server.median()), hundredths(cost.worker.median()),
			hundredths(cost.keeper.median()), hundredths(cost.attempts.median()), cost.others.show(percent)})
	}
	b.out.printf("\n### %s as a process, %s of them, %d at a time\n\n", program, whole(float64(n)), slots)
	b.out.table([]string{"what", "processes/s", "server CPU-s", "worker CPU-s", "keeper CPU-s", "processes' own CPU-s", "others"}, rows)
	return nil
}

func (c *cluster) trueArray(n int) error {
	_, err := c.client.Submit(c.b.ctx, reeve.Job{Tasks: []reeve.Task{{
		Command: []string{program}, Array: &reeve.Array{Indexes: fmt.Sprintf("0-%d", n-1)},
	}}})
	return err
}

func (c *cluster) trueJobs(n int) error {
	return c.submit(reeve.Job{Tasks: []reeve.Task{{Command: []string{program}}}}, n)
}

// bare is how fast this machine starts processes, and what they take.
func (b *bench) bare(n, atOnce int) (rate, cost sample, err error) {
	for range b.runs {
		var before, after syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &before); err != nil {
			return nil, nil, err
		}
		began := time.Now()
		if err := startAll(b.ctx, n, atOnce); err != nil {
			return nil, nil, err
		}
		took := time.Since(began)
		if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &after); err != nil {
			return nil, nil, err
		}
		rate = append(rate, float64(n)/took.Seconds())
		spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
		cost = append(cost, time.Duration(spent).Seconds())
	}
	return rate, cost, nil
}

func startAll(ctx context.Context, n, atOnce int) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, atOnce)
	for i := range atOnce {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				if err := exec.CommandContext(ctx, program).Run(); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
