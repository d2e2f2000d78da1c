package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// loadSlice is how many live jobs of a load stand in memory at once.
const loadSlice = 256

const (
	selectObjects = `SELECT ` + objectColumns + ` FROM objects ORDER BY kind, name`
	selectLive    = `SELECT ` + jobColumns + ` FROM jobs_{{n}} WHERE live = 1 AND id > ? ORDER BY id LIMIT ?`
	// selectLiveParts goes from the few live jobs to their parts, never over the
	// parts of finished ones.
	selectLiveParts = `SELECT ` + partColumns + ` FROM parts_{{n}}
WHERE job IN (SELECT id FROM jobs_{{n}} WHERE live = 1 AND id >= ? AND id <= ?) AND kind <> ?
ORDER BY job, task, kind, n`
	selectSpec = `SELECT sum, body FROM specs_{{n}} WHERE hash = ?`
)

// Load implements store.Tables.
func (t *tables) Load(ctx context.Context, into store.Loader) (projected uint64, err error) {
	err = t.db.read(ctx, func(inner context.Context, s *session) error {
		if err := s.refresh(inner); err != nil {
			return err
		}
		projected = uint64(s.layout.projected)
		err := s.query(inner, statement{text: selectObjects}, func(rows *sql.Rows) (bool, error) {
			o, err := scanObject(rows)
			if err != nil {
				return false, err
			}
			return true, into.Object(o)
		})
		if err != nil {
			return err
		}
		l := loading{s: s, into: into, told: make(map[[32]byte]bool)}
		for _, p := range s.layout.parts {
			if err := l.partition(ctx, inner, p.number); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return projected, nil
}

// loading hands live jobs to a loader.
type loading struct {
	s    *session
	into store.Loader
	told map[[32]byte]bool
	jobs []store.JobRow
}

// partition loads a partition slice by slice; outer is asked between them whether
// anyone still wants the result.
func (l *loading) partition(outer, ctx context.Context, number int64) error {
	for after := int64(0); ; {
		if err := outer.Err(); err != nil {
			return err
		}
		l.jobs = l.jobs[:0]
		err := l.s.query(ctx, statement{text: selectLive, partition: number}, func(rows *sql.Rows) (bool, error) {
			j, err := scanJob(rows, true)
			if err != nil {
				return false, err
			}
			l.jobs = append(l.jobs, j)
			return true, nil
		}, after, int64(loadSlice))
		if err != nil {
			return err
		}
		if len(l.jobs) == 0 {
			return nil
		}
		after = int64(l.jobs[len(l.jobs)-1].ID)
		if err := l.slice(ctx, number); err != nil {
			return err
		}
	}
}

// slice hands over the jobs read, each after its spec and before its parts.
func (l *loading) slice(ctx context.Context, number int64) error {
	specs := make(map[[32]byte][]byte)
	for i := range l.jobs {
		hash := l.jobs[i].Spec
		if l.told[hash] || specs[hash] != nil || hash == ([32]byte{}) {
			continue
		}
		blob, err := l.s.spec(ctx, number, hash)
		if err != nil {
			return fmt.Errorf("the spec of job %d: %w", l.jobs[i].ID, err)
		}
		specs[hash] = blob
	}
	next := 0
	tell := func(upTo uint64) error {
		for ; next < len(l.jobs) && l.jobs[next].ID <= upTo; next++ {
			j := l.jobs[next]
			if blob := specs[j.Spec]; blob != nil && !l.told[j.Spec] {
				l.told[j.Spec] = true
				if err := l.into.Spec(store.SpecRow{Job: j.ID, Hash: j.Spec, Blob: blob}); err != nil {
					return err
				}
			}
			if err := l.into.Job(j); err != nil {
				return err
			}
		}
		return nil
	}
	first, last := l.jobs[0].ID, l.jobs[len(l.jobs)-1].ID
	err := l.s.query(ctx, statement{text: selectLiveParts, partition: number}, func(rows *sql.Rows) (bool, error) {
		p, err := scanPart(rows)
		if err != nil {
			return false, err
		}
		if err := tell(p.Job); err != nil {
			return false, err
		}
		return true, l.into.Part(p)
	}, int64(first), int64(last), int64(store.PartAttempt))
	if err != nil {
		return err
	}
	return tell(last)
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
	if specSum(hash, blob) != int64(check) {
		return nil, damaged("spec %x", hash[:4])
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
