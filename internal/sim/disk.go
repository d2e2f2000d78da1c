package sim

import (
	"errors"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
)

// errDisk is what a disk says whose call may or may not have taken effect.
var errDisk = errors.New("input/output error")

// mount lays faults over the server's disk, for one life of its process: a store that is
// broken is whole for the next.
func (s *server) mount() {
	f := faultstore.New(s.cue)
	s.journal, s.tables, s.rows = f.Journal(s.disk.Journal()), f.Tables(s.disk.Tables()), f.History(s.disk.History())
}

// cue draws what happens to a call of the store.
func (s *server) cue(op faultstore.Op, _ int) faultstore.Fault {
	f := &s.w.faults
	var chance int
	var name string
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
	case faultstore.Load, faultstore.Read, faultstore.Bounds:
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
