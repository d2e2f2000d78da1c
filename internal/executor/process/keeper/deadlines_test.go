package keeper

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// at is a moment in seconds after an arbitrary start.
func at(seconds float64) executor.Deadline {
	return executor.Deadline(1e12) + executor.Deadline(seconds*1e9)
}

// play steps through every moment until the end and writes down what is done; of
// the kills, the first of each attempt.
func play(d *Deadlines, end executor.Deadline) []string {
	var log []string
	killed := map[string]bool{}
	for {
		next, ok := d.Next()
		if !ok || next > end {
			return log
		}
		for _, a := range d.Step(next) {
			if a.Verb == VerbKill && killed[a.Key] {
				continue
			}
			killed[a.Key] = a.Verb == VerbKill
			word := map[Verb]string{VerbTerm: "term", VerbKill: "kill", VerbDrain: "drain"}[a.Verb]
			line := fmt.Sprintf("%g %s %s", next.Sub(at(0)).Seconds(), word, a.Key)
			if a.Cause != (job.Cause{}) {
				line += ": " + a.Cause.String()
			}
			log = append(log, line)
		}
	}
}

func TestDeadlines(t *testing.T) {
	anna := job.Cause{Kind: job.CauseCancelled, Detail: "anna"}
	bert := job.Cause{Kind: job.CauseKilled, Detail: "bert"}
	tests := []struct {
		name string
		do   func(*Deadlines)
		want []string
	}{
		{"nothing to do", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, 0)
			d.Began("a", at(0), 0)
		}, nil},
		{"SIGTERM early enough", func(d *Deadlines) {
			d.Add("a", at(0), 5*time.Second, at(60))
		}, []string{"55 term a: worker lost: its lease ran out", "60 kill a: worker lost: its lease ran out"}},
		{"a long grace takes half of the lease", func(d *Deadlines) {
			d.Add("a", at(0), time.Hour, at(10))
		}, []string{"5 term a: worker lost: its lease ran out", "10 kill a: worker lost: its lease ran out"}},
		{"no grace, no SIGTERM", func(d *Deadlines) {
			d.Add("a", at(0), 0, at(61))
		}, []string{"61 kill a: worker lost: its lease ran out"}},
		{"a renewed lease", func(d *Deadlines) {
			d.Add("a", at(0), 5*time.Second, at(10))
			d.Renew("a", at(4), at(61))
		}, []string{"56 term a: worker lost: its lease ran out", "61 kill a: worker lost: its lease ran out"}},
		{"a lease for ever", func(d *Deadlines) {
			d.Add("a", at(0), 5*time.Second, at(10))
			d.Renew("a", at(4), 0)
		}, nil},
		{"a lease that is taken away", func(d *Deadlines) {
			d.Add("a", at(0), 5*time.Second, 0)
			d.Renew("a", at(4), at(4))
		}, []string{"4 kill a: worker lost: its lease ran out"}},
		{"what was asked is not un-asked", func(d *Deadlines) {
			d.Add("a", at(0), 5*time.Second, at(60))
			d.Step(at(55))
			d.Renew("a", at(56), at(1000))
		}, []string{"60 kill a: worker lost: its lease ran out"}},
		{"timeout and grace", func(d *Deadlines) {
			d.Add("a", at(0), 3*time.Second, 0)
			d.Began("a", at(1), 57500*time.Millisecond)
		}, []string{"58.5 term a: timeout after 57s500ms", "61.5 kill a: timeout after 57s500ms"}},
		{"the deadline cuts the grace of a timeout", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, at(35))
			d.Began("a", at(1), 10*time.Second)
		}, []string{"11 term a: timeout after 10s", "35 kill a: timeout after 10s"}},
		{"stop", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, 0)
			d.Stop("a", at(57), 4*time.Second, anna)
		}, []string{"57 term a: cancelled by anna", "61 kill a: cancelled by anna"}},
		{"stop at once", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, 0)
			d.Stop("a", at(61), 0, bert)
		}, []string{"61 kill a: killed by bert"}},
		{"the second stop shortens", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, 0)
			d.Stop("a", at(50), time.Hour, anna)
			d.Step(at(50))
			d.Stop("a", at(60), time.Second, bert)
		}, []string{"61 kill a: cancelled by anna"}},
		{"the second stop does not lengthen", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, 0)
			d.Stop("a", at(59), 2*time.Second, anna)
			d.Step(at(59))
			d.Stop("a", at(60), time.Hour, bert)
		}, []string{"61 kill a: cancelled by anna"}},
		{"two stops before the first step", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, 0)
			d.Stop("a", at(60), time.Hour, anna)
			d.Stop("a", at(60), time.Second, bert)
		}, []string{"60 term a: cancelled by anna", "61 kill a: cancelled by anna"}},
		{"a stop within the lease", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, at(61))
			d.Stop("a", at(2), time.Hour, anna)
		}, []string{"2 term a: cancelled by anna", "61 kill a: cancelled by anna"}},
		{"a grace that is longer than a lease which is renewed", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, at(10))
			d.Stop("a", at(2), 40*time.Second, anna)
			d.Step(at(2))
			d.Renew("a", at(5), at(15))
			d.Renew("a", at(10), at(60))
		}, []string{"42 kill a: cancelled by anna"}},
		{"a grace that the end of a renewed lease cuts", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, at(10))
			d.Began("a", at(0), 2*time.Second)
			d.Step(at(2))
			d.Renew("a", at(5), at(15))
		}, []string{"15 kill a: timeout after 2s"}},
		{"drain", func(d *Deadlines) {
			d.Add("a", at(0), 30*time.Second, at(5))
			d.Gone("a", at(1))
		}, []string{"2 drain a"}},
		{"an exit ends the killing", func(d *Deadlines) {
			d.Add("a", at(0), 0, at(5))
			d.Exited("a")
			d.Stop("a", at(6), 0, anna)
		}, nil},
		{"removed", func(d *Deadlines) {
			d.Add("a", at(0), 0, at(5))
			d.Add("b", at(0), 0, at(61))
			d.Remove("a")
			d.Remove("unknown")
		}, []string{"61 kill b: worker lost: its lease ran out"}},
		{"several, in order", func(d *Deadlines) {
			for _, key := range []string{"c", "a", "b"} {
				d.Add(key, at(0), 0, at(61))
			}
			d.Stop("c", at(60.5), 500*time.Millisecond, anna)
		}, []string{"60.5 term c: cancelled by anna", "61 kill a: worker lost: its lease ran out",
			"61 kill b: worker lost: its lease ran out", "61 kill c: cancelled by anna"}},
		{"unknown keys", func(d *Deadlines) {
			if d.Renew("a", at(0), at(1)) {
				panic("it renewed what is not there")
			}
			d.Began("a", at(0), 1)
			d.Stop("a", at(0), 0, anna)
			d.Exited("a")
			d.Gone("a", at(0))
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := NewDeadlines()
			test.do(d)
			if diff := cmp.Diff(test.want, play(d, at(61.5))); diff != "" {
				t.Errorf("what was done (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKillIsRepeatedUntilTheExit(t *testing.T) {
	d := NewDeadlines()
	d.Add("a", at(0), 0, at(5))
	for i := range 3 {
		if got := d.Step(at(5 + float64(i))); len(got) != 1 || got[0].Verb != VerbKill {
			t.Errorf("after %d s: %+v, want a kill", i, got)
		}
	}
	d.Exited("a")
	if got := d.Step(at(100)); got != nil {
		t.Errorf("after the exit: %+v", got)
	}
}

// TestDeadlinesHold: whatever happens, an attempt that has a deadline is killed by
// it, nothing is asked twice, and nothing with neither limit nor stop is touched.
func TestDeadlinesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := NewDeadlines()
		now := at(0)
		due := map[string]executor.Deadline{} // the deadline that must kill it
		reason := map[string]bool{}           // it has, or had, a limit or a stop
		termed, killed := map[string]int{}, map[string]bool{}
		step := func() {
			for _, a := range d.Step(now) {
				switch a.Verb {
				case VerbTerm:
					termed[a.Key]++
				case VerbKill:
					killed[a.Key] = true
				}
				if !reason[a.Key] {
					t.Fatalf("%s was ended for no reason", a.Key)
				}
			}
			for key, at := range due {
				if at != 0 && at <= now && !killed[key] {
					t.Fatalf("%s lives past its deadline", key)
				}
				if termed[key] > 1 {
					t.Fatalf("%s was asked %d times", key, termed[key])
				}
			}
			if next, ok := d.Next(); ok && next <= now {
				t.Fatalf("after a step something is still due")
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
			seconds := time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second
			deadline := executor.Deadline(0)
			if rapid.Bool().Draw(t, "lease") {
				deadline = now.Add(seconds)
			}
			_, known := due[key]
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0:
				if !known {
					d.Add(key, now, seconds, deadline)
					due[key], reason[key] = deadline, deadline != 0
				}
			case 1:
				if d.Renew(key, now, deadline) {
					due[key], reason[key] = deadline, reason[key] || deadline != 0
				}
			case 2:
				d.Stop(key, now, seconds, job.Cause{Kind: job.CauseCancelled})
				reason[key] = reason[key] || known
			case 3:
				d.Began(key, now, seconds)
				reason[key] = reason[key] || known && seconds > 0
			case 4:
				d.Remove(key)
				delete(due, key)
				delete(reason, key)
				delete(termed, key)
				delete(killed, key)
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 5_000).Draw(t, "ms")) * time.Millisecond)
			step()
		}
	})
}

func BenchmarkRenewTenThousand(b *testing.B) {
	d := NewDeadlines()
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%d", i)
		d.Add(keys[i], at(0), 30*time.Second, at(60))
	}
	b.ReportAllocs()
	for i := range b.N {
		for _, key := range keys {
			d.Renew(key, at(0), at(61+float64(i)))
		}
	}
}
