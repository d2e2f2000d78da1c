package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve"
)

// backlog is something that waits.
type backlog struct {
	name   string
	n      int
	submit func(*cluster, int) error
	// recover: the server is killed and started again.
	recover bool
}

// memory measures what jobs that wait cost the server, and how long it takes to have
// them again after it was killed. Each is measured once: it is memory, not time.
func (b *bench) memory() error {
	single := func(c *cluster, n int) error { return c.submit(reeve.Function("noop", nil), n) }
	array := func(c *cluster, n int) error {
		_, err := c.client.Submit(c.b.ctx, reeve.Job{Tasks: []reeve.Task{{
			Function: "noop", Array: &reeve.Array{Indexes: fmt.Sprintf("0-%d", n-1)},
		}}})
		return err
	}
	var rows [][]string
	for _, l := range []backlog{
		{"single jobs", b.count(100_000), single, false},
		{"single jobs", b.count(1_000_000), single, true},
		{"elements of one array", b.count(10_000_000), array, true},
	} {
		row, err := b.wait(l)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	b.out.printf("\n### What waits, and the way back after kill -9\n\n")
	b.out.table([]string{"what", "submitted in", "per second", "server CPU-s", "server RSS", "live heap", "live bytes each", "ready again after", "RSS then"}, rows)
	return nil
}

// wait measures one backlog.
func (b *bench) wait(l backlog) (row []string, err error) {
	c, err := b.newCluster()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	empty, err := c.live()
	if err != nil {
		return nil, err
	}
	recorded := c.record(fmt.Sprintf("submit-%d", l.n))
	took, spent, err := c.timed(func() error { return l.submit(c, l.n) })
	if err != nil {
		return nil, err
	}
	if err := errors.Join(recorded(), c.settled()); err != nil {
		return nil, err
	}
	rss, err := resident(c.server.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	live, err := c.live()
	if err != nil {
		return nil, err
	}
	if b.profile != "" {
		if err := fetch(b.ctx, c.profiles+"heap", fmt.Sprintf("%s/heap-%d.pprof", b.profile, l.n)); err != nil {
			return nil, err
		}
	}
	row = []string{
		whole(float64(l.n)) + " " + l.name, seconds(took), whole(float64(l.n) / took.Seconds()), hundredths(spent.server.Seconds()), mebibytes(rss), mebibytes(live),
		fmt.Sprintf("%.1f", float64(max(live-empty, 0))/float64(l.n)), "", "",
	}
	if !l.recover {
		return row, nil
	}
	return row, c.comeBack(l.n, row[7:])
}

// comeBack kills the server and measures how long it takes until it answers, with
// everything that was there.
func (c *cluster) comeBack(n int, cells []string) error {
	if err := c.server.kill(); err != nil {
		return err
	}
	began := time.Now()
	if err := c.startServer(); err != nil {
		return err
	}
	took := time.Since(began)
	s, err := c.inside.Status(c.b.ctx)
	if err != nil {
		return err
	}
	if got := s.GetPending(); got != int64(n) && got != 1 { // an array is one job
		return fmt.Errorf("%d of %d jobs are back", got, n)
	}
	rss, err := resident(c.server.cmd.Process.Pid)
	cells[0], cells[1] = seconds(took), mebibytes(rss)
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
