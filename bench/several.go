package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/several"
)

const (
	severalServers = 3
	// waitingNaps is how many jobs wait while leaders fail, and a tenth more for those that end.
	waitingNaps = 100_000
	// leastFailovers is how often a leader fails in each way: a median of fewer says little.
	leastFailovers = 5
	followerReads  = 2000

	aboutSeveral = "Three servers on one PostgreSQL, all on this machine, with fifty workers of two slots. *Lead*: until the next leader says that it leads. " +
		"*Dispatch*: until the first attempt began after that. *Write*: until a client that writes one job after the other had its next one acknowledged."
)

// readLoads are the loads under which a follower is read, in jobs a second.
var readLoads = []float64{0, 1000, 2500, 5000}

// several is HA: what changes of leader cost, and what a follower answers.
func (b *bench) several() error {
	return b.attempt("HA", onPostgres, figure.Reeve, func() (err error) {
		pg, err := b.site().StartPostgres()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, pg.Close()) }()
		dir, err := os.MkdirTemp(b.dir, "several-")
		if err != nil {
			return err
		}
		c, err := several.Start(several.Place{Context: b.ctx, Dir: dir, Binary: b.binary, Store: pg.URL()}, severalServers)
		if err == nil {
			err = errors.Join(b.readFollower(c), b.failLeaders(c))
		}
		return errors.Join(err, c.Close())
	})
}

func severalRow(what string) figure.Row {
	return figure.Row{Workload: "HA", Case: what, Kind: figure.Reeve, System: onPostgres, Durability: figure.Durable}
}

// readFollower asks a follower for jobs, with nothing else going on and under load.
func (b *bench) readFollower(c *several.Cluster) error {
	n := b.count(followerReads)
	for _, load := range readLoads {
		for range b.runs {
			took, err := c.Reads(n, load)
			if err != nil {
				return err
			}
			r := severalRow(fmt.Sprintf("a read at a follower, %s jobs/s beside it", figure.Whole(load)))
			b.figures.Add(r, "p50", "ms", figure.Quantile(took, 0.5).Seconds()*1000)
			b.figures.Add(r, "p99", "ms", figure.Quantile(took, 0.99).Seconds()*1000)
		}
	}
	return nil
}

// failLeaders ends leaders while jobs wait.
func (b *bench) failLeaders(c *several.Cluster) error {
	n := b.count(waitingNaps)
	if err := c.Fill(n + n/10); err != nil {
		return err
	}
	for range max(min(leastFailovers, b.count(leastFailovers)), b.runs) {
		for _, way := range []struct {
			what string
			by   syscall.Signal
		}{{"kill -9", syscall.SIGKILL}, {"stopped in good order", syscall.SIGTERM}} {
			f, err := c.Fail(way.by)
			if err != nil {
				return fmt.Errorf("the leader is ended by %s: %w", way.by, err)
			}
			b.say("HA: %s: dispatch after %s, write after %s, lead after %s", way.what, f.Dispatch, f.Write, f.Led)
			r := severalRow(fmt.Sprintf("the leader, %s, %s jobs waiting", way.what, figure.Whole(float64(n))))
			b.figures.Add(r, "dispatch", "ms", f.Dispatch.Seconds()*1000)
			b.figures.Add(r, "write", "ms", f.Write.Seconds()*1000)
			b.figures.Add(r, "lead", "ms", f.Led.Seconds()*1000)
			b.figures.Add(r, "writes refused", "jobs", float64(f.Refused))
		}
	}
	return nil
}
