package sim

import (
	"errors"
	"math"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// facts adds to a submit what memory says, and what the tables say of what memory does not
// hold, as package api does. It hands on nil if they can't be read.
func (s *server) facts(c core.Submit, then func(core.Command)) {
	var after []job.ID
	var keys []int
	var horizon uint64
	s.put(laneView, &request{
		view: func(state *core.State) {
			c.ReadSeq, horizon = state.Seq(), state.Horizon()
			for _, a := range c.Spec.After {
				if m, ok := state.Image(a.Job); !ok {
					after = append(after, a.Job)
				} else if m.State.Terminal() && m.Namespace == c.Namespace {
					c.Ended = append(c.Ended, core.EndedJob{ID: a.Job, State: m.State})
				}
			}
			for i := range c.Items {
				item := &c.Items[i]
				if item.Existing = state.ByKey(c.Namespace, item.Key); item.Key != "" && item.Existing == nil {
					keys = append(keys, i)
				}
			}
		},
		done: func(any, error) {
			s.after(s.w.between(0, 20*time.Millisecond), func() {
				if s.stored(&c, after, keys, horizon) != nil {
					then(nil)
					return
				}
				then(c)
			})
		},
	})
}

// stored adds what the tables say.
func (s *server) stored(c *core.Submit, after []job.ID, keys []int, horizon uint64) error {
	ctx := s.w.ctx()
	for _, id := range after {
		row, _, err := s.rows.Job(ctx, uint64(id))
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		case !row.Live:
			c.Ended = append(c.Ended, core.EndedJob{ID: id, State: job.State(row.State)})
		}
	}
	for _, i := range keys {
		item := &c.Items[i]
		rows, _, err := s.rows.JobsByKey(ctx, horizon, []uint64{record.KeyHash(c.Namespace, item.Key)})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if m, err := record.Job(row); err == nil && m.Key == item.Key {
				item.Existing = &core.KeyFact{ID: m.ID, Body: m.Body}
			}
		}
	}
	return nil
}

// dawdle hands a submit on at once, or when what was read for it has got old. With a key
// that is more likely: it is asked for again meanwhile.
func (s *server) dawdle(c core.Submit, then func(core.Command)) {
	w := s.w
	if w.opt.Bug == BugOldFacts {
		c.ReadSeq = math.MaxUint64
	}
	chance := w.faults.late
	if c.Items[0].Key != "" {
		chance *= 5
	}
	if !w.chance(chance) {
		then(c)
		return
	}
	w.count("facts are old")
	s.after(time.Minute+time.Duration(w.rnd.Int64N(int64(2*time.Minute))), func() {
		if !w.healed { // else it would come into a world at rest
			then(c)
		}
	})
}
