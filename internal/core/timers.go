package core

import "github.com/reeve-scheduler/reeve/internal/job"

type timerKind uint8

const (
	timerWake timerKind = iota
	timerWindow
	timerDeadline
	timerBackoff
	timerPatience
)

// timer is a moment at which something may have to be decided. Timers are never
// taken back: one that no longer means anything is ignored when it fires.
type timer struct {
	at       int64
	job      job.ID
	position int64
	task     uint32
	kind     timerKind
}

func (t timer) less(o timer) bool {
	switch {
	case t.at != o.at:
		return t.at < o.at
	case t.job != o.job:
		return t.job < o.job
	case t.task != o.task:
		return t.task < o.task
	case t.position != o.position:
		return t.position < o.position
	}
	return t.kind < o.kind
}

// timers is a binary heap, least first.
type timers []timer

func (h *timers) push(t timer) {
	*h = append(*h, t)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if !s[i].less(s[up]) {
			return
		}
		s[i], s[up] = s[up], s[i]
		i = up
	}
}

func (h *timers) pop() timer {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	*h = s
	for i := 0; ; {
		least, left := i, 2*i+1
		if left < last && s[left].less(s[least]) {
			least = left
		}
		if right := left + 1; right < last && s[right].less(s[least]) {
			least = right
		}
		if least == i {
			return top
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}

// Due reports whether Tick has something to decide at now.
func (s *State) Due(now int64) bool {
	over, _ := s.reservedNext()
	return s.timers.due(now) || over > 0 && over <= now
}

// due reports whether the first timer has come.
func (h timers) due(now int64) bool { return len(h) > 0 && h[0].at <= now }

// NextTimer is the moment, in Unix milliseconds, at which Tick has something to
// decide, or Place may have something to assign that a rate held back, or that waited for a cheaper
// worker; 0 for never.
func (s *State) NextTimer() int64 {
	at := s.opensNext()
	if _, next := s.reservedNext(); next > 0 && (at == 0 || next < at) {
		at = next
	}
	if len(s.timers) > 0 && (at == 0 || s.timers[0].at < at) {
		at = s.timers[0].at
	}
	if len(s.patience) > 0 && (at == 0 || s.patience[0].at < at) {
		at = s.patience[0].at
	}
	return at
}
