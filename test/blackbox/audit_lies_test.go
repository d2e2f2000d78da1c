package blackbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve"
)

// truth is a short history in which all is as it must be.
func truth() *history {
	at := time.Unix(1000, 0)
	h := &history{
		About:     about{Lease: 2, Slots: 2, Pause: 3, Among: "w3", Least: least{Jobs: 1, Attempts: 1, Strikes: 1, Late: 1, Lost: 1}},
		Strikes:   []strike{{Name: "server killed", Evidence: "term 1, then 2"}},
		Strangers: []stranger{{PID: 77, Born: 200}},
	}
	for i, kind := range []string{"quick", "flaky", "once", "graph", "doomed", "later", "hasty", "chatty", "timeout", "array"} {
		h.Orders = append(h.Orders, order{N: i + 1, Kind: kind, ID: kind, Asked: 100, Told: 100.1})
		h.Records = append(h.Records, record{
			Info: &reeve.JobInfo{ID: kind, State: reeve.Succeeded, Labels: map[string]string{"n": string(rune('1' + i)), "kind": kind}, Submitted: at},
			Ends: []reeve.State{reeve.Succeeded}, Elements: map[string]reeve.ElementInfo{}, Attempts: map[string][]reeve.AttemptInfo{},
		})
	}
	h.Orders[6].Told = 120
	h.Orders[9].N, h.Records[9].Info.Labels["n"] = 10, "10"
	h.ran("quick", "main", 0, 1, reeve.Succeeded, "")
	h.ran("flaky", "main", 0, 1, reeve.Failed, "exit 7")
	h.ran("flaky", "main", 0, 2, reeve.Failed, "worker lost: w3")
	h.ran("flaky", "main", 0, 3, reeve.Succeeded, "")
	h.ran("once", "main", 0, 1, reeve.Succeeded, "")
	h.ran("graph", "first", 0, 1, reeve.Succeeded, "")
	h.ran("graph", "second", 0, 1, reeve.Succeeded, "")
	h.ran("doomed", "first", 0, 1, reeve.Failed, "exit 3")
	h.ran("doomed", "handler", 0, 1, reeve.Succeeded, "")
	h.record("doomed").Elements["doomed.never.0"] = reeve.ElementInfo{ID: "doomed.never", State: reeve.Skipped}
	h.ran("later", "main", 0, 1, reeve.Succeeded, "")
	h.ran("hasty", "main", 0, 1, reeve.Succeeded, "")
	h.ran("chatty", "main", 0, 1, reeve.Succeeded, "")
	h.record("chatty").Lines = "line 0\nline 1\nline 2\n"
	h.ran("timeout", "main", 0, 1, reeve.TimedOut, "timeout after 600ms")
	timeout := h.record("timeout")
	timeout.Info.State, timeout.Ends[0] = reeve.Failed, reeve.Failed
	for i := range 4 {
		h.ran("array", "main", i, 1, reeve.Succeeded, "")
	}
	return h
}

func (h *history) record(id string) *record {
	for i := range h.Records {
		if h.Records[i].Info.ID == id {
			return &h.Records[i]
		}
	}
	return nil
}

// ran adds one attempt wherever it leaves a trace. Each begins two seconds after the one
// before, and takes one.
func (h *history) ran(job, task string, index, attempt int, state reeve.State, cause string) {
	m := mark{
		Verb: "begin", Job: job, Task: task, Index: index, Attempt: attempt, Fence: uint64(len(h.Marks) + 1),
		Up: 102 + float64(len(h.Marks)), PID: 77, Worker: "w3",
	}
	h.Marks = append(h.Marks, m)
	m.Up++
	m.Verb = "end"
	if strings.HasPrefix(cause, "exit") {
		m.Verb = "fail"
	}
	if state == reeve.TimedOut {
		m.Verb = "tick"
	}
	h.Marks = append(h.Marks, m)
	r, ref := h.record(job), m.element()
	at := r.Info.Submitted.Add(time.Duration(len(h.Marks)) * time.Millisecond)
	r.Attempts[ref] = append(r.Attempts[ref], reeve.AttemptInfo{Number: attempt, State: state, Cause: cause, Assigned: at, Started: at, Ended: at})
	r.Elements[ref] = reeve.ElementInfo{ID: ref, State: state, Attempts: attempt}
	ref = strings.TrimSuffix(ref, ".0") + "@" + string(rune('0'+attempt))
	h.Heard = append(h.Heard, heard{Kind: reeve.EventAttemptAssigned, Ref: ref}, heard{Kind: reeve.EventAttemptStarted, Ref: ref},
		heard{Kind: reeve.EventAttemptEnded, Ref: ref, State: state})
}

// lie changes the truth so that a rule is broken, which the auditor must see.
type lie struct {
	name, want string
	tell       func(h *history)
}

func lies() []lie {
	drop := func(h *history, verb, job string, attempt int) {
		var kept []mark
		for _, m := range h.Marks {
			if m.Verb != verb || m.Job != job || m.Attempt != attempt {
				kept = append(kept, m)
			}
		}
		h.Marks = kept
	}
	note := func(h *history, verb, job, task string, attempt int, fence uint64, up float64) {
		h.Marks = append(h.Marks, mark{Verb: verb, Job: job, Task: task, Attempt: attempt, Fence: fence, Up: up, Worker: "w3"})
	}
	return []lie{
		{"lost", "is lost", func(h *history) { h.Records = h.Records[1:] }},
		{"twice", "became 2 jobs", func(h *history) {
			twin := h.Records[0]
			info := *twin.Info
			info.ID = "twin"
			twin.Info = &info
			h.Records = append(h.Records, twin)
		}},
		{"phantom", "not in the history", func(h *history) { note(h, "begin", "nobody", "main", 1, 99, 150) }},
		{"unordered", "not ordered by anybody", func(h *history) { h.Orders = h.Orders[1:] }},
		{"never ends", "still running", func(h *history) { h.Records[0].Info.State = reeve.Running }},
		{"two ends", "ended 2 times", func(h *history) { h.Records[0].Ends = append(h.Records[0].Ends, reeve.Failed) }},
		{"changed its end", "ended as failed and is now succeeded", func(h *history) { h.Records[0].Ends[0] = reeve.Failed }},
		{"unheard", "nobody heard", func(h *history) { h.Records[0].Ends = nil }},
		{"was read otherwise", "was read as failed", func(h *history) { h.Reads = append(h.Reads, reading{"quick", reeve.Failed}) }},
		{"twins", "was there after attempt", func(h *history) { note(h, "tick", "flaky", "main", 2, 5, 150) }},
		{"begins backwards", "began after attempt", func(h *history) { note(h, "begin", "flaky", "main", 2, 5, 150) }},
		{"once twice", "began 2 times", func(h *history) { note(h, "begin", "once", "main", 2, 99, 150) }},
		{"fence falls", "the one before", func(h *history) { note(h, "begin", "flaky", "main", 4, 1, 150) }},
		{"fence shared", "the same fence", func(h *history) { note(h, "begin", "flaky", "main", 4, 1, 150) }},
		{"no success", "never said so", func(h *history) { drop(h, "end", "quick", 1) }},
		{"no failure", "never said in the book", func(h *history) { drop(h, "fail", "flaky", 1) }},
		{"a success called failure", "ended well in the book", func(h *history) { note(h, "end", "flaky", "main", 1, 3, 150) }},
		{"no reason", "want succeeded", func(h *history) { h.Records[0].Info.State, h.Records[0].Ends[0] = reeve.Failed, reeve.Failed }},
		{"a gap in the numbers", "has number 3", func(h *history) { h.record("flaky").Attempts["flaky.main.0"][1].Number = 3 }},
		{"one is missing", "are listed", func(h *history) {
			r := h.record("flaky")
			r.Attempts["flaky.main.0"] = r.Attempts["flaky.main.0"][:2]
		}},
		{"two live", "before the one before it had ended", func(h *history) {
			h.record("flaky").Attempts["flaky.main.0"][1].Assigned = time.Unix(1000, 0)
		}},
		{"superseded and accepted", "and there was another attempt", func(h *history) { h.record("flaky").Attempts["flaky.main.0"][1].State = reeve.Succeeded }},
		{"the last one decides", "and its last attempt", func(h *history) { h.record("flaky").Attempts["flaky.main.0"][2].State = reeve.Failed }},
		{"over budget", "that counted", func(h *history) {
			r := h.record("once")
			r.Attempts["once.main.0"] = []reeve.AttemptInfo{
				{Number: 1, State: reeve.Failed, Cause: "exit 1"}, {Number: 2, State: reeve.Failed, Cause: "exit 1"}, {Number: 3, State: reeve.Succeeded},
			}
		}},
		{"too early", "before what it needs", func(h *history) { h.Marks[10], h.Marks[12] = h.Marks[12], h.Marks[10] }},
		{"ruled out", "what it needs has failed", func(h *history) { note(h, "begin", "doomed", "never", 1, 99, 150) }},
		{"skipped in vain", "first is succeeded and second skipped", func(h *history) {
			h.record("graph").Elements["graph.second.0"] = reeve.ElementInfo{State: reeve.Skipped}
		}},
		{"no handler", "its handler skipped", func(h *history) {
			h.record("doomed").Elements["doomed.handler.0"] = reeve.ElementInfo{State: reeve.Skipped}
		}},
		{"no room", "and has 2 slots", func(h *history) {
			note(h, "tick", "quick", "main", 1, 1, 160)
			note(h, "tick", "once", "main", 1, 9, 160)
		}},
		{"throttle", "elements running", func(h *history) {
			h.About.Slots = 10
			for i := range 4 {
				h.Marks = append(h.Marks, mark{Verb: "tick", Job: "array", Task: "main", Index: i, Attempt: 1, Fence: uint64(2*i + 25), Up: 170, Worker: "w3"})
			}
		}},
		{"before its time", "was to wait for", func(h *history) { h.Orders[5].Asked = 120 }},
		{"assigned too late", "must begin within", func(h *history) {
			h.record("hasty").Attempts["hasty.main.0"][0].Assigned = time.Unix(1004, 0)
		}},
		{"begun too late", "after its last moment", func(h *history) { h.Orders[6].Told = 90 }},
		{"runs on", "ran for", func(h *history) { note(h, "tick", "timeout", "main", 1, 23, 150) }},
		{"cancelled and assigned", "was assigned", func(h *history) {
			h.Orders[0].Cancelled, h.Orders[0].CancelTold, h.Orders[0].CancelAt = true, 150, time.Unix(990, 0)
		}},
		{"cancelled and there", "after its cancel was acknowledged, at most", func(h *history) {
			h.Orders[0].Cancelled, h.Orders[0].CancelTold, h.Orders[0].CancelAt = true, 90, time.Unix(1010, 0)
		}},
		{"log doubled", "line 1 after line 1", func(h *history) { h.record("chatty").Lines = "line 0\nline 1\nline 1\n" }},
		{"log with a hole", "line 2 after line 0", func(h *history) { h.record("chatty").Lines = "line 0\nline 2\n" }},
		{"log changed", "after its end", func(h *history) { h.record("chatty").Early = "line 0\nline 1\nline 2\nline 3\n" }},
		{"foreign log", "has the line", func(h *history) { h.record("chatty").Lines = "what\n" }},
		{"log of more", "were written", func(h *history) {
			text := ""
			for i := range linesOf + 1 {
				text += fmt.Sprintf("line %d\n", i)
			}
			h.record("chatty").Lines = text
		}},
		{"event twice", "was heard after", func(h *history) { h.Heard = append(h.Heard, h.Heard[1]) }},
		{"event missing", "was heard after", func(h *history) { h.Heard = append(h.Heard[:6:6], h.Heard[7:]...) }},
		{"event after the end", "after the end of its job", func(h *history) {
			h.Heard = append([]heard{{Kind: reeve.EventJobEnded, Ref: "quick"}}, h.Heard...)
		}},
		{"stranger killed", "nobody's job", func(h *history) { h.Strangers = append(h.Strangers, stranger{PID: 77, Killed: 9}) }},
	}
}

// TestAudit shows the auditor the truth, and each kind of lie.
func TestAudit(t *testing.T) {
	t.Parallel()
	if got := audit(truth()); len(got) > 0 {
		t.Fatalf("of the truth it says:\n%s", strings.Join(got, "\n"))
	}
	for _, l := range lies() {
		t.Run(l.name, func(t *testing.T) {
			h := truth()
			l.tell(h)
			if got := strings.Join(audit(h), "\n"); !strings.Contains(got, l.want) {
				t.Errorf("got %q, want %q", got, l.want)
			}
		})
	}
}

// TestVoid: a run that has tried too little is no success.
func TestVoid(t *testing.T) {
	t.Parallel()
	if got := void(truth()); len(got) > 0 {
		t.Errorf("of one that has tried enough it says %q", got)
	}
	rare := truth()
	for range 150 {
		rare.Strikes = append(rare.Strikes, strike{Name: "worker killed: w2", Evidence: "exit 137"})
	}
	rare.Strikes = append(rare.Strikes, strike{Name: "worker killed: w1"})
	if got := void(rare); len(got) > 0 {
		t.Errorf("of one strike in 150 that met nothing it says %q", got)
	}
	for _, l := range []lie{
		{"no trace", "server killed left no trace", func(h *history) { h.Strikes[0].Evidence = "" }},
		{"too many without a trace", "server killed left no trace", func(h *history) {
			for i := range 150 {
				h.Strikes = append(h.Strikes, strike{Name: "server killed", Evidence: "term 1, then 2"})
				if i < 2 {
					h.Strikes[i].Evidence = ""
				}
			}
		}},
		{"one of a kind without a trace", "server bored left no trace", func(h *history) {
			for range 150 {
				h.Strikes = append(h.Strikes, strike{Name: "server killed", Evidence: "term 1, then 2"})
			}
			h.Strikes = append(h.Strikes, strike{Name: "server bored"})
		}},
		{"no jobs", "0 jobs", func(h *history) { h.Records = nil }},
		{"no attempts", "0 attempts", func(h *history) { h.Marks = nil }},
		{"no faults", "0 faults", func(h *history) { h.Strikes = nil }},
		{"no late results", "0 results that came too late", func(h *history) { h.About.Least.Lost = 0; h.record("flaky").Attempts["flaky.main.0"][1].Cause = "" }},
		{"no loss", "0 attempts of lost workers", func(h *history) { h.record("flaky").Attempts["flaky.main.0"][1].Cause = "" }},
		{"no number again", "no number of a job's process", func(h *history) { h.Strangers[0].Born = 1 }},
	} {
		t.Run(l.name, func(t *testing.T) {
			h := truth()
			l.tell(h)
			if got := strings.Join(void(h), "\n"); !strings.Contains(got, l.want) {
				t.Errorf("got %q, want %q", got, l.want)
			}
		})
	}
}

// TestHistoryIsKept: what is audited later is what was kept.
func TestHistoryIsKept(t *testing.T) {
	t.Parallel()
	want, dir := truth(), t.TempDir()
	if err := want.save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := loadHistory(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept and read again (-want +got):\n%s", diff)
	}
}
