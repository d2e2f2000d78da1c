package core

import (
	"testing"

	"pgregory.net/rapid"
)

// TestNearHolds is TestCoreHoldsUnderAnything for jobs with tasks that are near others, which come
// further by themselves.
func TestNearHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{t: t, files: nearFiles()}
		m.lab = newLab(func(format string, args ...any) {
			t.Helper()
			t.Fatalf(format, args...)
		})
		m.judge.deep, m.recording, m.recorded = true, true, len(m.journal)
		m.raise(FormatNear)
		t.Repeat(map[string]func(*rapid.T){
			"submit":    m.submitSome,
			"worker":    m.joinSome,
			"start":     m.startSome,
			"end":       m.endSome,
			"end2":      m.endSome,
			"end3":      m.endSome,
			"silence":   m.silenceSome,
			"drain":     m.drainSome,
			"hold":      m.holdSome,
			"let go":    m.releaseSome,
			"tick":      m.tickSome,
			"flush":     m.flushSome,
			"evict":     func(*rapid.T) { m.evict() },
			"fail over": m.failOverSome,
			"":          m.checkRecovery,
		})
		m.repeat()
		m.checkExport()
		m.finishAll()
	})
}
