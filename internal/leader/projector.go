package leader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// flushJob is a flush on its way to the tables.
type flushJob struct {
	rows    *record.Rows
	since   uint64     // what the tables cover before
	at      store.Mark // the batch that it covers
	began   time.Time
	encoded bool
}

// maxRest bounds how long the projector rests after a flush.
const maxRest = 2 * time.Second

// maxFresh is how many bytes of payloads may wait for a flush that would rest still: they
// stay in memory until the tables have them, and jobs with payloads that come so fast will
// wait for longer than it rests.
const maxFresh = 64 << 20

// nextFlush says when the flush after one may start. One that took long had much to
// write. The longer the next one waits the more often it writes one row where there
// would be two, and one page where each would write it again; and the journal, which
// people wait for, has the disk to itself.
func nextFlush(began, ended time.Time, every time.Duration) time.Time {
	due, rested := began.Add(every), ended.Add(min(ended.Sub(began), maxRest))
	if rested.After(due) {
		return rested
	}
	return due
}

type flushResult struct {
	job *flushJob
	err error
}

// beginFlush starts a flush at the batch that has just been closed, when one is
// due.
func (p *loop) beginFlush() {
	if p.flush != nil || time.Now().Before(p.due) && p.state.Fresh() < maxFresh || !p.state.Changed() || !p.forming.empty() || p.unsettled {
		return
	}
	rows := record.NewRows()
	p.state.BeginFlush(rows)
	p.flush = &flushJob{rows: rows, since: p.projected, at: p.last, began: time.Now()}
}

// flushSome encodes more of the flush, if there is one.
func (p *loop) flushSome() {
	if p.flush == nil && p.flying == nil {
		p.beginFlush()
	}
	if p.flush == nil || p.flush.encoded || !p.state.Encode(turnRows) {
		return
	}
	p.flush.encoded = true
	p.sendFlush()
}

// sendFlush hands the flush to the projector once it is whole and covers only what
// is durable.
func (p *loop) sendFlush() {
	if p.flush == nil || !p.flush.encoded || p.sent || p.flush.at.Seq > p.durable.Seq {
		return
	}
	p.sent = true
	p.projects <- p.flush
}

func (p *loop) flushedBy(r flushResult) error {
	p.flush, p.sent = nil, false
	if r.err != nil {
		return fmt.Errorf("flush the tables up to %d: %w", r.job.at.Seq, r.err)
	}
	p.due = nextFlush(r.job.began, time.Now(), p.settings.FlushEvery)
	p.settings.Observer.Flushed(r.job.rows.Len(), time.Since(r.job.began))
	p.state.Flushed(p.clock.Now(), r.job.rows.Ended())
	r.job.rows = nil // whoever still has the job, such as a select that waits, does not need them
	p.mu.Lock()
	p.projected = r.job.at.Seq
	p.mu.Unlock()
	return nil
}

// projectLoop writes flushes to the tables and keeps journal and tables trimmed.
func (p *loop) projectLoop(ctx context.Context) {
	var kept uint64 // below this the journal was trimmed
	trim := time.NewTicker(p.settings.TrimEvery)
	defer trim.Stop()
	tidy := time.NewTicker(p.settings.TidyEvery)
	defer tidy.Stop()
	retain := time.NewTicker(p.settings.RetainEvery)
	defer retain.Stop()
	for {
		select {
		case f := <-p.projects:
			err := p.write(ctx, f)
			p.flushed <- flushResult{f, err}
			if err != nil {
				return
			}
		case <-trim.C:
			kept = p.trim(ctx, kept)
		case <-tidy.C:
			p.trimBelow(ctx, kept)
		case <-retain.C:
			p.retain(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// write repeats a flush until the tables have it: it is all or nothing, and the
// journal has everything meanwhile.
func (p *loop) write(ctx context.Context, f *flushJob) error {
	wait := 50 * time.Millisecond
	for {
		err := p.tables.Flush(ctx, f.rows.Flush(f.since, f.at))
		if err == nil || final(err) {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		p.log.Warn("the tables did not take a flush; trying again", "sequence", f.at.Seq, "in", wait, "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// retain drops jobs past their retention, and what else is kept of them before.
func (p *loop) retain(ctx context.Context) {
	n, err := p.tables.Retain(ctx, time.UnixMilli(p.clock.Now()), func(ids []uint64) error {
		if p.settings.Gone == nil {
			return nil
		}
		jobs := make([]job.ID, len(ids))
		for i, id := range ids {
			jobs[i] = job.ID(id)
		}
		return p.settings.Gone(ctx, jobs)
	})
	if err != nil {
		p.log.Warn("jobs past their retention could not be dropped; trying again later", "error", err)
	} else if n > 0 {
		p.log.Info("dropped jobs past their retention", "jobs", n)
	}
}

// trim drops what recovery can no longer need from the journal, and returns where that
// begins now; kept is where it did.
func (p *loop) trim(ctx context.Context, kept uint64) uint64 {
	covered, err := p.tables.Durable(ctx)
	if err != nil {
		p.untrimmed(err)
		return kept
	}
	if covered > p.settings.KeepBatches {
		kept = covered - p.settings.KeepBatches
	}
	p.trimBelow(ctx, kept)
	return kept
}

func (p *loop) trimBelow(ctx context.Context, below uint64) {
	if err := p.journal.Trim(ctx, below); err != nil && !errors.Is(err, store.ErrTrimmed) {
		p.untrimmed(err)
	}
}

func (p *loop) untrimmed(err error) {
	p.log.Warn("the journal could not be trimmed; trying again later", "error", err)
}
