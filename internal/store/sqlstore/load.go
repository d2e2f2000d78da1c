package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/parcel"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
)

const (
	selectObjects = `SELECT ` + seal.ObjectColumns + ` FROM {{s}}objects ORDER BY kind, name`
	selectLive    = `SELECT ` + seal.LiveColumns + `
FROM {{s}}jobs_{{n}} WHERE live = 1 AND id > ? ORDER BY id LIMIT ?`
	// selectLiveParts goes from the few live jobs to their parts, never over the
	// parts of finished ones.
	selectLiveParts = `SELECT ` + seal.PartColumns + ` FROM {{s}}parts_{{n}}
WHERE job IN (SELECT id FROM {{s}}jobs_{{n}} WHERE live = 1 AND id >= ? AND id <= ?) AND kind <> ?
ORDER BY job, task, kind, n`
	selectAll = `SELECT ` + seal.StoredJobColumns + ` FROM {{s}}jobs_{{n}} WHERE id > ? ORDER BY id LIMIT ?`
	// selectAllParts leaves out the kind of the last parameter.
	selectAllParts = `SELECT ` + seal.PartColumns + ` FROM {{s}}parts_{{n}}
WHERE job >= ? AND job <= ? AND kind <> ? ORDER BY job, task, kind, n`
	selectSpec = `SELECT sum, body FROM {{s}}specs_{{n}} WHERE hash = ?`
)

// Load implements store.Tables.
func (t *tables) Load(ctx context.Context, into store.Loader) (projected uint64, err error) {
	err = t.db.read(ctx, func(inner context.Context, s *session) error {
		if err := s.refresh(inner); err != nil {
			return err
		}
		projected = uint64(s.layout.projected)
		// Who loads has lost its memory, perhaps because the tables have lost what this process
		// wrote: others may have written something else in its place.
		t.keys.Forget(projected)
		if err := s.hold(inner); err != nil {
			return err
		}
		s.told = true
		if err := s.objects(inner, into.Object); err != nil {
			return err
		}
		l := loading{s: s, told: make(map[[32]byte]bool)}
		return l.load(ctx, inner, func(from <-chan parcel.Parcel) error { return parcel.Load(from, into) })
	})
	if err != nil {
		return 0, err
	}
	return projected, nil
}

// objects reads all objects.
func (s *session) objects(ctx context.Context, to func(store.ObjectRow) error) error {
	return s.query(ctx, statement{text: selectObjects}, func(rows row) (bool, error) {
		o, err := seal.ScanObject(rows)
		if err != nil {
			return false, err
		}
		return true, to(o)
	})
}

// loading reads jobs and sends them to whoever takes them in, so that the next are read
// while these are taken in.
type loading struct {
	s    *session
	send func(parcel.Parcel) error
	// told is of specs; with all, which asks for finished jobs, payloads and all parts too,
	// it is of those of this slice alone.
	told map[[32]byte]bool
	all  bool
}

const (
	// loadSlice is how many live jobs are read at a time, and loadParts how many parts a
	// parcel has.
	loadSlice = 256
	loadParts = 256
	// loadBytes ends a slice early, once it has so much of states and payloads.
	loadBytes = 8 << 20
)

// load reads the jobs of all partitions while take takes them in.
func (l *loading) load(outer, ctx context.Context, take func(<-chan parcel.Parcel) error) error {
	return parcel.Carry(func(send func(parcel.Parcel) error) error {
		l.send = send
		return l.partitions(outer, ctx)
	}, take)
}

func (l *loading) partitions(outer, ctx context.Context) error {
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
	scanner := seal.NewJobScanner()
	for after := int64(0); ; {
		if err := outer.Err(); err != nil {
			return err
		}
		jobs, size := make([]store.JobRow, 0, loadSlice), 0
		text, scan := selectLive, scanner.ScanLive
		if l.all {
			text, scan = selectAll, scanner.ScanStored
			clear(l.told)
		}
		err := l.s.query(ctx, statement{text: text, partition: number}, func(rows row) (bool, error) {
			j, err := scan(rows)
			jobs, size = append(jobs, j), size+len(j.Blob)+len(j.Payload)
			return size < loadBytes, err
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
		p := parcel.Parcel{Specs: specs, Jobs: jobs[:n], Parts: parts}
		jobs, parts = jobs[n:], nil
		return l.send(p)
	}
	first, last := jobs[0].ID, jobs[len(jobs)-1].ID
	text, without := selectLiveParts, store.PartAttempt
	if l.all {
		text, without = selectAllParts, 0
	}
	err := l.s.query(ctx, statement{text: text, partition: number}, func(rows row) (bool, error) {
		p, err := seal.ScanPart(rows)
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
	}, int64(first), int64(last), int64(without))
	if err != nil {
		return err
	}
	return send(last)
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
