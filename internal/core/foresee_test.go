package core

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
)

// survey copies the cluster in looks of so many, and wants the same from any number.
func (l *lab) survey() *forecast.Cluster {
	look := func(most int) *forecast.Cluster {
		v := NewSurvey(l.now)
		for !l.s.Look(v, most) {
		}
		return v.Whole()
	}
	c := look(1 << 30)
	if diff := cmp.Diff(c, look(1)); diff != "" {
		l.fail("a survey in many looks is another (-one +many):\n%s", diff)
	}
	return c
}

// outlook prints what explain and show say of a job with a forecast.
func (sc *scenario) outlook(id job.ID) {
	c := sc.survey()
	course, m := c.Forecast(nil), c.Moment()
	for _, x := range sc.s.Explain(id, "", sc.now) {
		x.Foresee(course, m)
		for _, r := range x.Reasons {
			fmt.Fprintf(&sc.out, "%s: %s: %s\n", x.Task, r.Kind, r.Text)
		}
	}
	for _, late := range course.Late {
		if late.Job == id {
			fmt.Fprintln(&sc.out, late.String(sc.now))
		}
	}
}

// plan prints what would become of a job file.
func (sc *scenario) plan(text string) {
	file, err := jobfile.Parse("", []byte(text))
	if err != nil {
		sc.fail("%v", err)
	}
	before := sc.s.fingerprint()
	asked, err := sc.s.WhatIf(Input{Now: sc.now}, Submit{
		Namespace: DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna", ReadSeq: sc.s.Seq(),
		Items: []Item{{Params: []byte("{}"), Key: file.Spec.IdempotencyKey}},
	})
	if sc.s.fingerprint() != before {
		sc.fail("a question changed the state")
	}
	switch {
	case err != nil:
		fmt.Fprintf(&sc.out, "refused: %v\n", err)
		return
	case asked.Existing > 0:
		fmt.Fprintf(&sc.out, "it is job %d already\n", asked.Existing)
		return
	case asked.Doomed.Kind != job.CauseNone:
		fmt.Fprintf(&sc.out, "it would end at once: %s\n", asked.Doomed)
		return
	}
	c := sc.survey()
	effect := c.WhatIf(&asked.Job, c.Forecast(nil), nil)
	fmt.Fprintf(&sc.out, "%s, ends %s\n", [...]string{"starts", "waits", "never"}[effect.Verdict], sc.hence(effect.End))
	for _, t := range effect.Tasks {
		fmt.Fprintf(&sc.out, "%s: %d of %d from %s to %s on %s, ends %s%s\n",
			t.Name, t.Started, t.Count, sc.hence(t.First), sc.hence(t.Last), t.Worker, sc.hence(t.Ends), when(t.Skipped, ", skipped"))
		for _, r := range t.Reasons {
			fmt.Fprintf(&sc.out, "  %s: %s\n", r.Kind, r.Text)
		}
		for _, change := range t.Changes {
			fmt.Fprintf(&sc.out, "  %s\n", change)
		}
	}
	if effect.Late != nil {
		fmt.Fprintln(&sc.out, effect.Late.String(sc.now))
	}
	for _, d := range effect.Delays {
		fmt.Fprintf(&sc.out, "delays job %d from %s to %s\n", d.Job, sc.hence(d.From), sc.hence(d.To))
	}
}

// hence is a moment as seconds from now.
func (sc *scenario) hence(at int64) string {
	if at == 0 {
		return "?"
	}
	return fmt.Sprintf("%+ds", (at-sc.now)/1000)
}

// waitingFiles are jobs that get in each other's way: of all sizes and lengths.
func waitingFiles(t *rapid.T) string {
	text := fmt.Sprintf("run: \"true\"\nresources: {cpu: %d}\nretry: {on_lost: 5}\n", rapid.IntRange(1, 4).Draw(t, "cpu"))
	if length := rapid.SampledFrom([]string{"", "10s", "1m", "10m"}).Draw(t, "timeout"); length != "" {
		text += "timeout: " + length + "\n"
	}
	switch rapid.IntRange(0, 13).Draw(t, "kind") {
	case 0:
		text += "priority: high\n"
	case 1:
		text += "priority: background\n"
	case 2:
		text += "at_most_once: true\n"
	case 3:
		text += "array: 0-5%3\n"
	case 4:
		text += "where: zone=b\n"
	case 6:
		text += "concurrency: {key: deploy, limit: 2}\n"
	case 7:
		text += "concurrency: {key: deploy, rate: 1/10s}\n"
	case 9:
		text += "nodes: 2\n"
	case 10:
		text += "nodes: 3\npriority: background\n"
	case 11, 12:
		text += "prefer: cheapest\ndeadline: 20m\n"
	case 13:
		text += "prefer: cheapest\ndeadline: 20m\narray: 0-3\nspread: worker\n"
	case 8:
		text = "tasks: {main: {run: \"true\", array: 0-3, resources: {cpu: 1}, concurrency: {key: each, limit: 2}}}\n"
	}
	return text
}

// TestExplainSaysWhatKeepsIt: whenever everything has settled, each task that is ready and waits
// is told at least one thing that keeps it, and never just that there is room; and nothing that
// the leader keeps waiting starts at once in a forecast.
func TestExplainSaysWhatKeepsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{t: t}
		m.lab = newLab(func(format string, args ...any) {
			t.Helper()
			t.Fatalf(format, args...)
		})
		m.raise(FormatConditions)
		submit := func(t *rapid.T) {
			if _, err := m.submit(waitingFiles(t), nil); err != nil && job.CodeOf(err) != job.Busy {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 3).Draw(t, "workers") {
			m.joinSome(t)
		}
		for range rapid.IntRange(0, 8).Draw(t, "jobs") {
			submit(t)
		}
		rare := func(do func(*rapid.T)) func(*rapid.T) {
			return func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "really") > 0 {
					t.Skip("not this time")
				}
				do(t)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"submit": submit, "submit2": submit, "submit3": submit, "submit4": submit, "worker": m.joinSome, "start": m.startSome,
			"end": m.endSome, "end2": m.endSome, "tick": m.tickSome, "give back": m.returnSome,
			"break": rare(m.breakSome), "reconnect": m.reconnectSome, "silence": rare(m.silenceSome), "drain": rare(m.drainSome),
			"hold": rare(m.holdSome), "pause": rare(m.pauseSome), "policy": rare(m.policySome), "let go": rare(m.releaseSome), "cancel": rare(m.cancelSome),
			"": m.checkReasons,
		})
	})
}

func (m *machine) checkReasons(t *rapid.T) {
	m.place()
	m.close()
	c := m.survey()
	course, moment := c.Forecast(nil), c.Moment()
	for j := range m.s.jobs.all {
		for i, x := range m.s.Explain(j.id, "", m.now) {
			if x.Foresee(course, moment); j.held || j.tasks[i].startable().all() == 0 {
				continue
			}
			if !slices.ContainsFunc(x.Reasons, decisive) {
				t.Fatalf("job %d waits at %d for nothing: %v", j.id, m.now, x.Reasons)
			}
		}
	}
}

// decisive reports whether a reason says what keeps something from starting.
func decisive(r Reason) bool {
	return slices.Contains([]string{
		"no_room", "no_worker", "kept", "queue_paused", "namespace_paused", "throttle", "hold", "cancel",
		"concurrency", "rate", "limit", "patience",
	}, r.Kind)
}
