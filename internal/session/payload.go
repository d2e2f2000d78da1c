package session

import (
	"context"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Payloads reads payloads that only the tables have, by the jobs' ids. It leaves out those
// that are not there, and those that are damaged.
type Payloads interface {
	Payloads(ctx context.Context, jobs []uint64) (map[uint64][]byte, error)
}

// PayloadOf is the payload of one job, nil for none.
func PayloadOf(ctx context.Context, from Payloads, m *core.JobImage) ([]byte, error) {
	if !m.Away {
		return m.Payload, nil
	}
	id := uint64(m.ID)
	payloads, err := from.Payloads(ctx, []uint64{id})
	if err == nil && payloads[id] == nil {
		err = fmt.Errorf("the payload of job %d in the tables is damaged", id)
	}
	return payloads[id], err
}

// Lacks reports whether any payload of a message is still to be read.
func Lacks(m *link.ToWorker) bool {
	if m.Assign != nil {
		for i := range m.Assign.Attempts {
			if m.Assign.Attempts[i].Away {
				return true
			}
		}
	}
	return false
}

// Fill reads the payloads that messages lack and puts them there. For attempts whose payload
// is lost it returns what is to be reported of them in the worker's place. After an
// error everything is as it was. What still lacks its payload then a Machine does not send.
func Fill(ctx context.Context, from Payloads, msgs []link.ToWorker) (lost []link.Result, err error) {
	asked := map[uint64]bool{}
	var jobs []uint64
	for a := range lacking(msgs) {
		if id := uint64(a.Job); !asked[id] {
			asked[id] = true
			jobs = append(jobs, id)
		}
	}
	if jobs == nil {
		return nil, nil
	}
	payloads, err := from.Payloads(ctx, jobs)
	if err != nil {
		return nil, fmt.Errorf("read %d payloads: %w", len(jobs), err)
	}
	for a := range lacking(msgs) {
		if p, ok := payloads[uint64(a.Job)]; ok {
			a.Payload, a.Away = p, false
			continue
		}
		lost = append(lost, link.Result{Fence: a.Fence, Cause: job.Cause{
			Kind: job.CauseQuarantined, Detail: "its payload in the tables is damaged; the server's log has more",
		}})
	}
	return lost, nil
}

// lacking yields the attempts in messages whose payload is away.
func lacking(msgs []link.ToWorker) func(yield func(*link.Assignment) bool) {
	return func(yield func(*link.Assignment) bool) {
		for i := range msgs {
			if msgs[i].Assign == nil {
				continue
			}
			for k := range msgs[i].Assign.Attempts {
				if a := &msgs[i].Assign.Attempts[k]; a.Away && !yield(a) {
					return
				}
			}
		}
	}
}

// reading is a session's reads. A store that hangs does not hang the session, whose worker
// would be taken for lost: the call returns with its context. It belongs to one goroutine.
type reading struct {
	from Payloads
	// left is the read that was not waited for to its end, nil for none.
	left chan found
}

// found is what a read returned.
type found struct {
	payloads map[uint64][]byte
	err      error
}

// Payloads begins no read before the last one has ended.
func (r *reading) Payloads(ctx context.Context, jobs []uint64) (map[uint64][]byte, error) {
	if r.left != nil {
		select {
		case <-r.left:
			r.left = nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	read := make(chan found, 1)
	go func() {
		p, err := r.from.Payloads(ctx, jobs)
		read <- found{p, err}
	}()
	select {
	case f := <-read:
		return f.payloads, f.err
	case <-ctx.Done():
		r.left = read
		return nil, ctx.Err()
	}
}

const (
	// maxFill is how many payloads are read at once, but for those of one more message.
	maxFill = 256
	// fillPatience is how long reading them may be tried, if the worker's beats allow it: as
	// long as that takes they are not answered.
	fillPatience = time.Second
)

// deliver passes messages on in their order, some at a time, each with its payloads.
func (s *serving) deliver(ctx context.Context, msgs []link.ToWorker) (done bool, err error) {
	for len(msgs) > 0 && !done && err == nil {
		n, lacks := 0, 0
		for n < len(msgs) && lacks < maxFill {
			if Lacks(&msgs[n]) {
				lacks += len(msgs[n].Assign.Attempts)
			}
			n++
		}
		if lacks > 0 {
			if err := s.fill(ctx, msgs[:n]); err != nil {
				return false, err
			}
		}
		done, err = s.step(ctx, Event{Out: msgs[:n]})
		msgs = msgs[n:]
	}
	return done, err
}

// fill reads what messages lack. What can't be read for now stays lacking: the worker's
// beats then show that it has not come, and it is sent again. The error is the leader's.
func (s *serving) fill(ctx context.Context, msgs []link.ToWorker) error {
	limited, cancel := context.WithTimeout(ctx, min(fillPatience, link.BeatEvery(s.leader.Lease())))
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		lost, err := Fill(limited, &s.payloads, msgs)
		if err == nil {
			return s.report(lost)
		}
		select {
		case <-time.After(wait):
		case <-limited.Done():
			if ctx.Err() == nil {
				s.hub.log.Warn("payloads can't be read; what needs them is not given to the worker yet", "worker", s.machine.Worker(), "error", err)
			}
			return nil
		}
	}
}

// report tells the leader of attempts that can't be given to the worker.
func (s *serving) report(lost []link.Result) error {
	if lost == nil {
		return nil
	}
	s.hub.log.Error("payloads in the tables are damaged; their attempts end", "worker", s.machine.Worker(), "attempts", len(lost), "first", lost[0].Fence)
	for _, a := range s.machine.report(&link.Report{Ended: lost}) {
		if a.Do != nil {
			if err := s.leader.Post(a.Do); err != nil {
				return err
			}
		}
	}
	return nil
}
