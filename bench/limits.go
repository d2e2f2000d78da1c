package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the product's driver

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
)

// limit is something that no scheduler on this machine can beat.
type limit struct {
	system, metric, unit string
	// measure returns one value.
	measure func(*bench) (float64, error)
}

// Names of the limits that stand in tables of workloads.
const (
	limitSync  = "fdatasync of 4 KiB"
	limitRows  = "SQLite, a row each, 1,000 a transaction"
	limitRound = "TCP round trip on loopback"
)

func (b *bench) limits() []limit {
	return []limit{
		{limitSync, "p50", "ms", func(b *bench) (float64, error) { return b.syncTime(0.5) }},
		{limitSync, "p99", "ms", func(b *bench) (float64, error) { return b.syncTime(0.99) }},
		{limitSync, "throughput", "fdatasyncs/s", (*bench).syncRate},
		{limitRows, "throughput", "jobs/s", (*bench).rowRate},
		{limitRound, "p50", "ms", (*bench).roundTrip},
	}
}

// measureLimits measures each as often as everything else.
func (b *bench) measureLimits() error {
	for range b.runs {
		for _, l := range b.limits() {
			v, err := l.measure(b)
			if err != nil {
				return fmt.Errorf("%s: %w", l.system, err)
			}
			b.figures.Add(figure.Row{Workload: limitsSection, Kind: figure.Limit, System: l.system}, l.metric, l.unit, v)
		}
	}
	return nil
}

// limitRow puts limits into the table of a workload, beside the metrics that they bound.
func (b *bench) limitRow(workload, what string, systems ...string) {
	bounded := func(f *figure.Figure) bool {
		return slices.ContainsFunc(b.figures.Figures, func(o *figure.Figure) bool {
			return o.Workload == workload && o.Case == what && o.Kind == figure.Reeve && o.Metric == f.Metric && o.Unit == f.Unit
		})
	}
	for _, f := range b.figures.Figures {
		if f.Workload != limitsSection || !slices.Contains(systems, f.System) || !bounded(f) {
			continue
		}
		for _, v := range f.Runs {
			b.figures.Add(figure.Row{Workload: workload, Case: what, Kind: figure.Limit, System: f.System}, f.Metric, f.Unit, v)
		}
	}
}

// syncTime is how long the disk takes to make 4 KiB durable.
func (b *bench) syncTime(share float64) (float64, error) {
	took, err := b.syncs(200)
	if err != nil {
		return 0, err
	}
	return figure.Quantile(took, share).Seconds() * 1000, nil
}

func (b *bench) syncRate() (float64, error) {
	began := time.Now()
	took, err := b.syncs(1000)
	return float64(len(took)) / time.Since(began).Seconds(), err
}

// syncs appends 4 KiB n times.
func (b *bench) syncs(n int) ([]time.Duration, error) {
	f, err := os.CreateTemp(b.dir, "sync-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	block := make([]byte, 4096)
	for range n {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// rowRate inserts rows of 200 bytes in transactions of a thousand, each durable, as a store that
// keeps one row a job could at best.
func (b *bench) rowRate() (rate float64, err error) {
	dir, err := os.MkdirTemp(b.dir, "rows-")
	if err != nil {
		return 0, err
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "rows.db")+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close(), os.RemoveAll(dir)) }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(b.ctx, "CREATE TABLE jobs (id INTEGER PRIMARY KEY, state BLOB) STRICT"); err != nil {
		return 0, err
	}
	n := b.count(noopJobs)
	row := make([]byte, 200)
	began := time.Now()
	for id := 0; id < n; {
		if id, err = insertRows(b.ctx, db, row, id, min(id+peer.Batch, n)); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// insertRows inserts the rows from an id to before another, in one transaction.
func insertRows(ctx context.Context, db *sql.DB, row []byte, id, end int) (int, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return id, err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	insert, err := tx.PrepareContext(ctx, "INSERT INTO jobs VALUES (?, ?)")
	if err != nil {
		return id, err
	}
	defer func() { _ = insert.Close() }() // the transaction closes it too
	for ; id < end; id++ {
		if _, err := insert.ExecContext(ctx, id, row); err != nil {
			return id, err
		}
	}
	return id, tx.Commit()
}

// roundTrip is how long a byte takes to a socket of this machine and back.
func (b *bench) roundTrip() (float64, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(b.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c) // until the other end closes
			c.Close()
		}
	}()
	var dial net.Dialer
	c, err := dial.DialContext(b.ctx, "tcp", l.Addr().String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var took []time.Duration
	one := make([]byte, 1)
	for range 1000 {
		began := time.Now()
		if _, err := c.Write(one); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, one); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	return figure.Quantile(took, 0.5).Seconds() * 1000, nil
}
