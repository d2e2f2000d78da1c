package core

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/plan"
)

// FormatUse is the cluster's format from which on it remembers who used how much: programs that
// don't know it have no rows for that.
const FormatUse = 3

// UseImage is what a namespace, a queue or a user in it has used, as the tables keep it. What
// is forgotten has no moment.
type UseImage = plan.Past

// useRow is the key of its row.
func useRow(m UseImage) string { return m.Namespace + "/" + m.Queue + "/" + m.User }

// useUntil is the moment up to which use counts that changes at one.
func (s *State) useUntil(at int64) int64 {
	if s.format < FormatUse {
		return 0
	}
	return at
}

// encodeUse writes what has changed of who used how much.
func (s *State) encodeUse() {
	s.plan.Settle(s.seq, func(m UseImage) { s.flush.sink.Use(useRow(m), m, s.seq) })
}

// exportUse writes who used how much in a namespace.
func (s *State) exportUse(sink Sink, n *namespace) {
	var all []UseImage
	s.plan.Pasts(n.name, func(m UseImage) { all = append(all, m) })
	slices.SortFunc(all, func(a, b UseImage) int { return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.User, b.User)) })
	for _, m := range all {
		sink.Use(useRow(m), m, s.seq)
	}
}

// Use restores what somebody has used, of a namespace and a queue that were restored before.
func (l *Loaded) Use(m UseImage) error {
	n := l.s.spaces[m.Namespace]
	if n == nil || m.Queue != "" && n.queues[m.Queue] == nil || m.Queue == "" && m.User != "" {
		return fmt.Errorf("core: use %q is of a namespace or a queue that is missing", useRow(m))
	}
	if m.Amount < 0 || m.At <= 0 {
		return fmt.Errorf("core: use %q is %d at %d, out of range", useRow(m), m.Amount, m.At)
	}
	l.s.plan.Remember(m)
	return nil
}
