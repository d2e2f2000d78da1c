package blackbox

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/reeve-scheduler/reeve"
)

// unfinished counts the jobs that have not ended.
func unfinished(ctx context.Context, c *reeve.Client) (n int, err error) {
	for _, err := range c.List(ctx, reeve.Filter{States: []reeve.State{reeve.Pending, reeve.Running}}) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// records reads what Reeve says of every job in the end.
func (w *workload) records(ctx context.Context, c *reeve.Client) ([]record, error) {
	ids := make(chan string)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	var records []record
	for range 8 {
		wg.Go(func() {
			for id := range ids {
				r, err := recordOf(ctx, c, id)
				mu.Lock()
				if err != nil {
					failed = fmt.Errorf("job %s: %w", id, err)
				}
				records = append(records, r)
				mu.Unlock()
			}
		})
	}
	for j, err := range c.List(ctx, reeve.Filter{}) {
		if err != nil {
			failed = err
			break
		}
		ids <- j.ID
	}
	close(ids)
	wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range records {
		if records[i].Info != nil {
			records[i].Ends, records[i].Early = w.ends[records[i].Info.ID], w.early[records[i].Info.ID]
		}
	}
	return records, failed
}

func recordOf(ctx context.Context, c *reeve.Client, id string) (record, error) {
	info, err := c.Get(ctx, id)
	if err != nil {
		return record{}, err
	}
	r := record{Info: info, Elements: map[string]reeve.ElementInfo{}, Attempts: map[string][]reeve.AttemptInfo{}}
	for i := range info.Tasks {
		t := &info.Tasks[i]
		if !t.Array {
			r.Elements[fmt.Sprintf("%s.%s.0", id, t.Name)] = *t.Element
			continue
		}
		for e, err := range c.Elements(ctx, id, t.Name) {
			if err != nil {
				return record{}, err
			}
			r.Elements[fmt.Sprintf("%s.%s.%d", id, t.Name, e.Index)] = e
		}
	}
	for ref := range r.Elements {
		e := r.Elements[ref]
		if e.Attempts == 0 || e.Attempts == 1 && info.Labels["kind"] == "quick" && !strings.HasSuffix(info.Labels["n"], "1") {
			continue
		}
		if r.Attempts[ref], err = c.Attempts(ctx, e.ID); err != nil {
			return record{}, err
		}
	}
	if info.Labels["kind"] == "chatty" {
		r.Lines, r.Gaps, err = readLog(ctx, c, id)
	}
	return r, err
}

// readLog reads what the newest attempt of a job wrote, and whether a mark admits that
// something is missing.
func readLog(ctx context.Context, c *reeve.Client, id string) (lines string, gaps bool, err error) {
	var text strings.Builder
	for piece, err := range c.Logs(ctx, id, reeve.LogOptions{}) {
		switch {
		case err != nil:
			return "", false, err
		case piece.Stream == "stdout":
			text.Write(piece.Data)
		case piece.Stream == "gap":
			gaps = true
		}
	}
	return text.String(), gaps, nil
}

// kindsSeen counts what was ordered, for the log of a run.
func kindsSeen(orders []order) map[string]int {
	out := map[string]int{}
	for i := range orders {
		out[orders[i].Kind]++
	}
	return out
}
