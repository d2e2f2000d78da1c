package sim

import (
	"errors"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
)

// errDisk is what a disk says whose call may or may not have taken effect.
var errDisk = errors.New("input/output error")

// errCut is what a server hears of a store that it does not reach.
var errCut = fmt.Errorf("%w: cut off", store.ErrUnavailable)

// unreachable is an error while the store is not to be reached.
func (s *server) unreachable() error {
	if s.cut > s.w.now || s.w.away > s.w.now {
		return errCut
	}
	return nil
}

// mount lays faults over the server's disk, for one life of its process: a store that is
// broken is whole for the next.
func (s *server) mount() {
	f := faultstore.New(s.cue)
	s.journal, s.tables, s.rows = f.Journal(s.w.disk.Journal()), f.Tables(s.w.disk.Tables()), f.History(s.w.disk.History())
}

// cue draws what happens to a call of the store.
func (s *server) cue(op faultstore.Op, _ int) faultstore.Fault {
	f := &s.w.faults
	var chance int
	var name string
	if err := s.unreachable(); err != nil { // what was asked may have happened
		s.w.count("store can't be reached")
		return faultstore.Fault{Err: err, After: s.w.oneIn(4)}
	}
	switch op {
	case faultstore.Append:
		chance, name = f.unknown, "append of unknown outcome"
		if s.w.chance(f.broken) {
			s.w.count("store is broken")
			return faultstore.Fault{Err: store.ErrBroken, After: s.w.oneIn(2)}
		}
	case faultstore.Flush:
		chance, name = f.failFlush, "flush fails"
	case faultstore.Trim, faultstore.Durable:
		chance, name = f.failFlush, "trim fails"
	case faultstore.Load, faultstore.Read, faultstore.Bounds, faultstore.Last:
		chance, name = f.failRead, "recovery fails"
	default:
		chance, name = f.failRead, "lookup fails"
	}
	if !s.w.chance(chance) {
		return faultstore.Fault{}
	}
	s.w.count(name)
	return faultstore.Fault{Err: errDisk, After: s.w.oneIn(2)}
}
