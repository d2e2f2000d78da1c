package record

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/predict"
	"github.com/reeve-scheduler/reeve/internal/record/field"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// Loader rebuilds a state from rows. Pass it to store.Tables.Load, then call
// Finish.
type Loader struct {
	into     *core.Loaded
	objects  []store.ObjectRow
	opened   bool
	jobs     field.Payload
	counters bool
}

var _ store.Loader = (*Loader)(nil)

// NewLoader begins with an empty state of that configuration.
func NewLoader(config core.Config) *Loader { return &Loader{into: core.Load(config)} }

// Object is of store.Loader. Objects are put off until all are there, since some
// need others.
func (l *Loader) Object(row store.ObjectRow) error {
	l.objects = append(l.objects, row)
	return nil
}

// Spec is of store.Loader.
func (l *Loader) Spec(row store.SpecRow) error {
	if err := l.open(); err != nil {
		return err
	}
	if sha256.Sum256(row.Blob) != row.Hash {
		return fmt.Errorf("record: spec %x, kept with job %d, is not what was written: %w", row.Hash[:8], row.Job, store.ErrCorrupt)
	}
	return l.into.Spec(row.Hash, row.Blob)
}

// Job is of store.Loader.
func (l *Loader) Job(row store.JobRow) error {
	if err := l.open(); err != nil {
		return err
	}
	m, err := jobOf(&l.jobs, row)
	if err != nil {
		return err
	}
	return l.into.Job(m)
}

// Part is of store.Loader. Outputs of an array's elements stay in the tables.
func (l *Loader) Part(row store.PartRow) error {
	if row.Kind != store.PartChunk {
		return nil
	}
	m, err := Chunk(row)
	if err != nil {
		return err
	}
	return l.into.Chunk(m)
}

// Finish returns the state at the sequence that store.Tables.Load returned. The
// loader is of no use afterwards.
func (l *Loader) Finish(projected uint64) (*core.State, error) {
	if err := l.open(); err != nil {
		return nil, err
	}
	if projected > 0 && !l.counters {
		return nil, fmt.Errorf("record: the tables are at sequence %d but have no counters: %w", projected, store.ErrCorrupt)
	}
	return l.into.Finish(projected), nil
}

// open restores the objects: by kind, since the kinds' numbers rise with what they
// need.
func (l *Loader) open() error {
	if l.opened {
		return nil
	}
	l.opened = true
	slices.SortFunc(l.objects, func(a, b store.ObjectRow) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key))
	})
	for i := range l.objects {
		if err := l.restore(&l.objects[i]); err != nil {
			return fmt.Errorf("record: object %q of kind %d: %w", l.objects[i].Key, l.objects[i].Kind, err)
		}
	}
	l.objects = nil
	return nil
}

func (l *Loader) restore(row *store.ObjectRow) error {
	r := open(row.Blob)
	switch row.Kind {
	case core.KindCounters:
		l.counters = true
		m := r.counters()
		if err := CheckRaise(m.Format); err != nil {
			return err
		}
		l.into.Counters(m)
	case core.KindNamespace:
		m := r.only()
		l.into.Namespace(m.namespaceSet())
	case core.KindQueue:
		if q := r.queue(); r.Err() == nil {
			return l.into.Queue(q)
		}
	case core.KindPool:
		m := r.only()
		l.into.Pool(m.poolSet())
	case core.KindReservation:
		m := r.only()
		l.into.Reservation(m.reservationSet())
	case core.KindKey:
		if k := r.key(); r.Err() == nil {
			l.into.Key(k)
		}
	case core.KindToken:
		var t core.Token
		for r.Next() {
			if r.Field != 2 {
				r.unknown()
			}
			t = r.token()
		}
		l.into.Token(t)
	case core.KindWorker:
		l.into.Worker(r.worker())
	case core.KindUse:
		if m := r.use(); r.Err() == nil {
			return corrupt(l.into.Use(m))
		}
	case core.KindLearned:
		if m := r.learned(); r.Err() == nil {
			return learnedError(l.into.Learned(m))
		}
	default:
		return ErrFormat
	}
	return r.Err()
}

// only returns a reader of the one message that an object's row holds.
func (r *reader) only() reader {
	if !r.Next() || r.Field != 2 {
		r.unknown()
	}
	m := r.message()
	if r.Next() {
		r.unknown()
	}
	return m
}

// Counters reads the row of the core's own counters, and returns false for any other.
func Counters(row store.ObjectRow) (m core.CountersImage, ok bool, err error) {
	if row.Kind != core.KindCounters {
		return m, false, nil
	}
	r := open(row.Blob)
	m = r.counters()
	return m, true, r.Err()
}

func (r *reader) counters() (m core.CountersImage) {
	for r.Next() {
		switch r.Field {
		case 2:
			m.Epoch = r.Uint()
		case 3:
			m.Generation = r.Uint()
		case 4:
			m.NextJob = job.ID(r.Uint())
		case 5:
			m.NextWorker = r.Uint()
		case 6:
			m.NextFence = link.Fence(r.Uint())
		case 7:
			m.Format = r.Uint()
		default:
			r.unknown()
		}
	}
	return m
}

// corrupt is what an image of nothing says of its row.
func corrupt(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return nil
}

// learnedError is what is wrong with a row of what was learned.
func learnedError(err error) error {
	if errors.Is(err, predict.ErrVersion) {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return corrupt(err)
}

func (r *reader) learned() (m core.LearnedImage) {
	for r.Next() {
		switch r.Field {
		case 2:
			m.Slot = int(r.Uint32())
		case 3:
			m.Key.Namespace = r.String()
		case 4:
			m.Key.Job = r.String()
		case 5:
			m.Key.Task = r.String()
		case 6:
			m.Key.User = r.String()
		case 7:
			m.State = r.Bytes()
		default:
			r.unknown()
		}
	}
	return m
}

func (r *reader) worker() (m core.WorkerImage) {
	for r.Next() {
		switch r.Field {
		case 2:
			m.ID = r.Uint()
		case 3:
			m.Hello = r.hello()
		case 4:
			m.Joined = r.Int()
		case 5:
			m.Draining = r.Bool()
		case 6:
			m.Away = r.Bool()
		default:
			r.unknown()
		}
	}
	return m
}
