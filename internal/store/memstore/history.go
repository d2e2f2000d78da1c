package memstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// maxScan bounds the jobs that one page looks at.
const maxScan = 4096

type history struct{ s *Store }

func (h history) Job(ctx context.Context, id uint64) (store.JobRow, uint64, error) {
	if err := ctx.Err(); err != nil {
		return store.JobRow{}, 0, err
	}
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	t := h.s.now
	j, ok := t.jobs[id]
	if !ok {
		return store.JobRow{}, t.projected, fmt.Errorf("%w: job %d", store.ErrNotFound, id)
	}
	return cloneJob(j), t.projected, nil
}

// JobsByKey leaves out what it may leave out.
func (h history) JobsByKey(ctx context.Context, seen uint64, hashes []uint64) ([]store.JobRow, uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	t := h.s.now
	var rows []store.JobRow
	for _, id := range t.ids {
		if j := t.jobs[id]; j.KeyHash != 0 && j.Changed <= seen && slices.Contains(hashes, j.KeyHash) {
			rows = append(rows, cloneJob(j))
		}
	}
	return rows, t.projected, nil
}

func (h history) Jobs(ctx context.Context, q store.Query) (store.Page, error) {
	if err := q.Check(); err != nil {
		return store.Page{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	t := h.s.now
	page := store.Page{Projected: t.projected}
	at := len(t.ids)
	if q.Below != 0 {
		at, _ = slices.BinarySearch(t.ids, q.Below)
	}
	for scanned := 0; at > 0; scanned++ {
		if len(page.Rows) == q.Limit || scanned == maxScan {
			page.Next = t.ids[at]
			break
		}
		at--
		j := t.jobs[t.ids[at]]
		if !q.Match(&j) {
			continue
		}
		j = cloneJob(j)
		if !q.WithBlobs {
			j.Blob = nil
		}
		page.Rows = append(page.Rows, j)
	}
	return page, nil
}

func (h history) Parts(ctx context.Context, job uint64, task uint32, kind store.PartKind, from uint64, limit int) ([]store.PartRow, error) {
	if limit < 1 || limit > store.MaxPage {
		return nil, fmt.Errorf("%w: %d parts: want 1 to %d", store.ErrRefused, limit, store.MaxPage)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	parts := h.s.now.parts[job]
	at, _ := slices.BinarySearchFunc(parts, store.PartRow{Task: task, Kind: kind, N: from}, comparePart)
	var out []store.PartRow
	for _, p := range parts[at:] {
		if p.Task != task || p.Kind != kind || len(out) == limit {
			break
		}
		p.Blob = slices.Clone(p.Blob)
		out = append(out, p)
	}
	return out, nil
}

func (h history) Payloads(ctx context.Context, ids []uint64) (map[uint64][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	payloads := make(map[uint64][]byte, len(ids))
	for _, id := range ids {
		if p := h.s.now.jobs[id].Payload; p != nil {
			payloads[id] = slices.Clone(p)
		}
	}
	return payloads, nil
}

func (h history) Spec(ctx context.Context, job uint64, hash [32]byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	t := h.s.now
	blob, ok := t.specs[hash]
	if j, known := t.jobs[job]; !ok || !known || j.Spec != hash {
		return nil, fmt.Errorf("%w: spec %x of job %d", store.ErrNotFound, hash[:4], job)
	}
	return slices.Clone(blob), nil
}
