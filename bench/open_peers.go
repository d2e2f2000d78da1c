package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/peer"
)

// riverKneeJobs is how many jobs its knee is found with: half a minute's worth, too.
const riverKneeJobs = 900_000

// openRiver is W8 for River, at the same shares of its own knee.
func (b *bench) openRiver() error {
	if !b.peers {
		return nil
	}
	s := peer.RiverSystem()
	return b.attempt("W8", s.Name, s.Kind, func() error {
		knee, err := b.kneeOf(s)
		if err != nil {
			return err
		}
		for _, share := range openShares() {
			if err := b.openPeer(s, share, share*knee); err != nil {
				return err
			}
		}
		return nil
	})
}

// kneeOf is the highest rate at which a peer keeps up, in jobs a second.
func (b *bench) kneeOf(s peer.System) (rate float64, err error) {
	n := max(b.count(riverKneeJobs)/offerBatch, 1) * offerBatch
	err = b.with(s, func(q peer.Queue) error {
		if err := errors.Join(q.Prepare(peer.Workload{Jobs: n}), q.Work()); err != nil {
			return err
		}
		spent, err := b.timed(q, func() error { return errors.Join(q.(peer.Open).Closed(n, offerBatch, kneeSubmitters), q.Drained()) })
		rate = float64(n) / spent.took.Seconds()
		return err
	})
	return rate, err
}

func (b *bench) openPeer(s peer.System, share, rate float64) error {
	length := b.shortened(b.openTime)
	gap := time.Duration(offerBatch / rate * float64(time.Second))
	moments := int(length / gap)
	n := moments * offerBatch
	return b.with(s, func(q peer.Queue) error {
		if err := errors.Join(q.Prepare(peer.Workload{Jobs: n, Kind: peer.Late}), q.Work()); err != nil {
			return err
		}
		var late peer.Lateness
		spent, err := b.timed(q, func() (err error) {
			late, err = q.(peer.Open).Offer(moments, offerBatch, gap)
			return err
		})
		if err != nil {
			return err
		}
		r := rowOf(s, "W8", caseOpen(share)+caseInAll)
		b.figures.Add(r, "p50", "ms", late.P50.Seconds()*1000)
		b.figures.Add(r, "p99", "ms", late.P99.Seconds()*1000)
		b.figures.Add(r, "p99.9", "ms", late.P999.Seconds()*1000)
		b.figures.Add(r, "due", "jobs/s", float64(n)/length.Seconds())
		b.charge(r, spent, n)
		return nil
	})
}

// caseInAll is added to the case of a rate for the whole run.
const caseInAll = ", in all"

// openShares are the rates of W8, in shares of the knee.
func openShares() []float64 { return []float64{0.5, 0.8} }

func caseOpen(share float64) string { return fmt.Sprintf("%.0f %% of the knee", 100*share) }
