package core

import (
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
)

// KeyView is a concurrency key with who holds it and what waits for it.
type KeyView struct {
	Key string
	// Each: single attempts hold it, not whole jobs.
	Each bool
	// Held and Waiting count slots and tasks that wait for one, Jobs the unfinished jobs that
	// name the key.
	Held, Waiting, Jobs int64
	// Limit is how many slots the first of those listed asks for, 0 for any number.
	Limit int64
	// Opens is when the key's rate lets the next one start, in Unix milliseconds, 0 for now.
	Opens int64
	// Holders and Waiters are the first of them: holders by age, waiters queue by queue.
	Holders, Waiters []KeyUser
	// Row is what the next page begins after.
	Row string
}

// KeyUser is a job, task or attempt that holds a key or waits for it.
type KeyUser struct {
	Ref job.Ref
	// Since is when the holder was given the slot, and when what waits was submitted, in Unix
	// milliseconds.
	Since int64
}

// MaxKeyUsers bounds the holders and the waiters that a KeyView names.
const MaxKeyUsers = 20

// Keys returns up to most concurrency keys of a namespace that unfinished jobs name, by key,
// from after the row of an earlier one on; or only those with a text. It takes time in
// proportion to all keys.
func (s *State) Keys(space, only, after string, most int) ([]KeyView, error) {
	if _, err := s.space(space); err != nil {
		return nil, err
	}
	var out []KeyView
	if only != "" {
		for _, each := range [...]bool{false, true} {
			if k := s.limits.Find(limit.Name{Namespace: space, Key: only, Each: each}); k != nil && k.Uses() > 0 {
				out = append(out, s.keyView(k))
			}
		}
		return out, nil
	}
	var last limit.Name
	if after != "" {
		last = keyName(after)
	}
	for _, k := range s.limits.List(space, last, most) {
		out = append(out, s.keyView(k))
	}
	return out, nil
}

func (s *State) keyView(k *limit.Key) KeyView {
	n := k.Name()
	v := KeyView{Key: n.Key, Each: n.Each, Held: k.Held(), Waiting: k.Waiting(), Jobs: k.Uses(), Opens: k.Opens(), Row: keyRow(n)}
	for _, o := range k.Owners(MaxKeyUsers) {
		j := s.jobs.get(o.Job)
		u := KeyUser{Ref: job.Ref{Job: o.Job, Index: job.NoIndex}, Since: j.started}
		ti := NoTask
		if a := s.attempts[fenceOf(o.Fence)]; a != nil {
			u, ti = KeyUser{Ref: s.refOf(a), Since: a.assigned}, a.task
		}
		if v.Limit == 0 {
			v.Limit = j.concurrency(ti).Limit
		}
		v.Holders = append(v.Holders, u)
	}
	for _, c := range k.Queue(MaxKeyUsers) {
		j := s.jobs.get(c.Job)
		ref := job.Ref{Job: c.Job, Task: j.spec.spec.Tasks[c.Task].Name, Index: job.NoIndex}
		v.Waiters = append(v.Waiters, KeyUser{Ref: ref, Since: j.submitted})
		if v.Limit == 0 {
			v.Limit = c.Limit
		}
	}
	return v
}
