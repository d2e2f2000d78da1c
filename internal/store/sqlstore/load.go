package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
)

const (
	selectObjects = `SELECT ` + objectColumns + ` FROM {{s}}objects ORDER BY kind, name`
	// selectLive has few columns: each takes half a microsecond a row. What it leaves out
	// is the same of all live jobs. Names of namespaces and queues have no slash.
	selectLive = `SELECT id, changed, state, submitted, key_hash, namespace || '/' || queue || '/' || name, labels, spec, sum, body
FROM {{s}}jobs_{{n}} WHERE live = 1 AND id > ? ORDER BY id LIMIT ?`
	// selectLiveParts goes from the few live jobs to their parts, never over the
	// parts of finished ones.
	selectLiveParts = `SELECT ` + partColumns + ` FROM {{s}}parts_{{n}}
WHERE job IN (SELECT id FROM {{s}}jobs_{{n}} WHERE live = 1 AND id >= ? AND id <= ?) AND kind <> ?
ORDER BY job, task, kind, n`
	selectSpec = `SELECT sum, body FROM {{s}}specs_{{n}} WHERE hash = ?`
)

// liveWidth is the number of selectLive's columns.
const liveWidth = 10

// Load implements store.Tables.
func (t *tables) Load(ctx context.Context, into store.Loader) (projected uint64, err error) {
	err = t.db.read(ctx, func(inner context.Context, s *session) error {
		if err := s.refresh(inner); err != nil {
			return err
		}
		projected = uint64(s.layout.projected)
		if err := s.hold(inner); err != nil {
			return err
		}
		s.told = true
		err := s.query(inner, statement{text: selectObjects}, func(rows row) (bool, error) {
			o, err := scanObject(rows)
			if err != nil {
				return false, err
			}
			return true, into.Object(o)
		})
		if err != nil {
			return err
		}
		pieces, stop, taken := make(chan piece, loadAhead), make(chan struct{}), make(chan error, 1)
		go func() {
			err := take(pieces, into)
			close(stop)
			taken <- err
		}()
		l := loading{s: s, to: pieces, stop: stop, told: make(map[[32]byte]bool)}
		err = l.live(ctx, inner)
		close(pieces)
		if takenErr := <-taken; takenErr != nil {
			return takenErr
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return projected, nil
}

// loading reads live jobs and sends them to whoever hands them to the loader, so that the
// next are read while these are taken in.
type loading struct {
	s    *session
	to   chan<- piece
	stop <-chan struct{} // closed when nothing more is wanted
	told map[[32]byte]bool
}

// piece is some of what a load reads, in order.
type piece struct {
	specs map[[32]byte][]byte // those of these jobs that no piece before has
	jobs  []store.JobRow
	parts []store.PartRow // of these jobs, and of the last one of the piece before
}

const (
	// loadSlice is how many live jobs are read at a time, and loadParts how many parts a
	// piece has.
	loadSlice = 256
	loadParts = 256
	// loadAhead is how many pieces may wait to be taken in.
	loadAhead = 2
)

// errStop ends a load that whoever takes it in has given up.
var errStop = errors.New("store: the load was given up")

// live loads the live jobs of all partitions.
func (l *loading) live(outer, ctx context.Context) error {
	for _, p := range l.s.layout.parts {
		if err := l.partition(outer, ctx, p.number); err != nil {
			return err
		}
	}
	return nil
}

// partition loads a partition slice by slice; outer is asked between them whether
// anyone still wants the result.
func (l *loading) partition(outer, ctx context.Context, number int64) error {
	scanner := newJobScanner()
	for after := int64(0); ; {
		if err := outer.Err(); err != nil {
			return err
		}
		jobs := make([]store.JobRow, 0, loadSlice)
		err := l.s.query(ctx, statement{text: selectLive, partition: number}, func(rows row) (bool, error) {
			j, err := scanner.scanLive(rows)
			jobs = append(jobs, j)
			return true, err
		}, after, int64(loadSlice))
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			return nil
		}
		after = int64(jobs[len(jobs)-1].ID)
		if err := l.slice(ctx, number, jobs); err != nil {
			return err
		}
	}
}

// slice sends the jobs read, with their specs and parts.
func (l *loading) slice(ctx context.Context, number int64, jobs []store.JobRow) error {
	specs := make(map[[32]byte][]byte)
	for i := range jobs {
		hash := jobs[i].Spec
		if l.told[hash] || hash == ([32]byte{}) {
			continue
		}
		blob, err := l.s.spec(ctx, number, hash)
		if err != nil {
			return fmt.Errorf("the spec of job %d: %w", jobs[i].ID, err)
		}
		l.told[hash], specs[hash] = true, blob
	}
	var parts []store.PartRow
	send := func(upTo uint64) error {
		n := 0
		for n < len(jobs) && jobs[n].ID <= upTo {
			n++
		}
		p := piece{specs, jobs[:n], parts}
		jobs, parts = jobs[n:], nil
		select {
		case l.to <- p:
			return nil
		case <-l.stop:
			return errStop
		}
	}
	first, last := jobs[0].ID, jobs[len(jobs)-1].ID
	err := l.s.query(ctx, statement{text: selectLiveParts, partition: number}, func(rows row) (bool, error) {
		p, err := scanPart(rows)
		if err != nil {
			return false, err
		}
		if len(parts) == loadParts {
			if err := send(parts[loadParts-1].Job); err != nil {
				return false, err
			}
		}
		parts = append(parts, p)
		return true, nil
	}, int64(first), int64(last), int64(store.PartAttempt))
	if err != nil {
		return err
	}
	return send(last)
}

// take hands pieces to a loader, each job after its spec and before its parts.
func take(from <-chan piece, into store.Loader) error {
	for p := range from {
		next := 0
		tell := func(upTo uint64) error {
			for ; next < len(p.jobs) && p.jobs[next].ID <= upTo; next++ {
				j := p.jobs[next]
				if blob := p.specs[j.Spec]; blob != nil {
					delete(p.specs, j.Spec)
					if err := into.Spec(store.SpecRow{Job: j.ID, Hash: j.Spec, Blob: blob}); err != nil {
						return err
					}
				}
				if err := into.Job(j); err != nil {
					return err
				}
			}
			return nil
		}
		for i := range p.parts {
			if err := tell(p.parts[i].Job); err != nil {
				return err
			}
			if err := into.Part(p.parts[i]); err != nil {
				return err
			}
		}
		if err := tell(math.MaxUint64); err != nil {
			return err
		}
	}
	return nil
}

// spec reads one spec; a missing one is store.ErrNotFound. An empty spec comes
// back empty, never nil.
func (s *session) spec(ctx context.Context, number int64, hash [32]byte) ([]byte, error) {
	var check integer
	var blob []byte
	err := s.row(ctx, statement{text: selectSpec, partition: number}, []any{hash[:]}, &check, &blob)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: spec %x", store.ErrNotFound, hash[:4])
	}
	if err != nil {
		return nil, err
	}
	if seal.Spec(hash, blob) != int64(check) {
		return nil, seal.Damaged("spec %x", hash[:4])
	}
	if blob == nil {
		blob = []byte{}
	}
	return blob, nil
}

// Durable implements store.Tables.
func (t *tables) Durable(ctx context.Context) (projected uint64, err error) {
	err = t.db.read(ctx, func(ctx context.Context, s *session) error {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		projected = uint64(s.layout.projected)
		return nil
	})
	if err != nil || t.db.sync == nil {
		return projected, err
	}
	if err := t.db.sync(ctx); err != nil {
		return 0, t.db.say(err)
	}
	return projected, t.db.say(t.db.tidy(ctx))
}
