package plan

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// placeBy is what a worker has of a label that a company looks at.
func placeBy(w *Worker, key string) string {
	if key == job.AtWorker {
		return fmt.Sprint("#", w.ID)
	}
	value, _ := labelOf(w, key)
	return value
}

// distance is how many workers a group would rather have than one.
func distance(g *modelGroup, worker uint64) (n int) {
	for rest := g.Near; rest != "" && binary.BigEndian.Uint64([]byte(rest)) != worker; rest = rest[8:] {
		n++
	}
	return n
}

func (m *model) admits(w *Worker, c Company) bool {
	return c.Apart == "" || !slices.ContainsFunc(m.attempts, func(a modelAttempt) bool {
		return a.Company == c && placeBy(m.workers[a.worker], c.Apart) == placeBy(w, c.Apart)
	})
}

// near is how many of a company are where a worker is.
func (m *model) near(w *Worker, c Company) (n int) {
	for _, a := range m.attempts {
		if c != (Company{}) && a.Company == c && placeBy(m.workers[a.worker], c.Spread) == placeBy(w, c.Spread) {
			n++
		}
	}
	return n
}
