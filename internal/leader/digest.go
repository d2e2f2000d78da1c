package leader

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/record/digest"
)

// digestTasks is about how many tasks one digest covers: what takes a turn about a millisecond.
const digestTasks = 500

// digests is how far the leader has come with digests of its state, which other servers hold
// theirs against. It is the loop's alone.
type digests struct {
	round, slice uint64
	from         job.ID    // where the next part begins
	at           time.Time // of the last one
	decided      int       // what has been decided in this term, digests apart
	covered      int       // decided as the last round began
}

// digest has a part of the state noted when it is time, round after round for as long as
// anything happens.
func (p *loop) digest(now int64) error {
	d := &p.digests
	every := p.settings.DigestEvery
	if every == 0 || !record.Digests(p.state.Format()) || !p.open() || time.Since(d.at) < every {
		return nil
	}
	if d.slice == 0 {
		if d.covered == d.decided {
			return nil
		}
		d.covered = d.decided
	}
	d.at = time.Now()
	e := core.StateDigested{Round: d.round, Slice: d.slice, From: d.from, To: p.state.EndOfPart(d.from, digestTasks, d.slice)}
	e.Sum = digest.Of(p.state, e)
	if d.from, d.slice = e.To+1, d.slice+1; e.To == core.LastJob {
		d.round, d.slice, d.from = d.round+1, 0, 0
	}
	_, err := p.command(core.Digest{Of: e}, now)
	return err
}
