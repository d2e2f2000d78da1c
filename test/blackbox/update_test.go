package blackbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestUpdate changes where jobs stand while a worker with one slot is busy: they start in the order
// that follows, also after the server was killed.
func TestUpdate(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--slots", "1", "--prefetch", "-1")
	order := filepath.Join(c.dir, "order")
	// round blocks the worker, has jobs submitted and changed, and returns in which order they ran.
	round := func(change func(submit func(name, head string) string)) string {
		gate := filepath.Join(c.dir, "gate")
		blocker := c.submit("priority: critical\nrun: while ! test -e '" + gate + "'; do sleep 0.02; done")
		await(t, "the worker is busy", func() bool { return c.show(blocker).State == "running" })
		var ids []string
		change(func(name, head string) string {
			ids = append(ids, c.submit(head+"\nname: "+name+"\nrun: echo "+name+" >> '"+order+"'"))
			return ids[len(ids)-1]
		})
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			c.ends(id, "succeeded")
		}
		text, err := os.ReadFile(order)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{gate, order} {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		return strings.Join(strings.Fields(string(text)), " ")
	}
	var first string
	got := round(func(submit func(name, head string) string) {
		first = submit("a", "")
		b, d, e := submit("b", ""), submit("d", ""), submit("e", "")
		if out := c.ok("update", e, "--front"); out != e+" is in queue default, at its front, with priority 0\n" {
			t.Errorf("update --front: %s", out)
		}
		c.ok("update", b, d, "--priority", "high")
		c.ok("update", d, "--front")
		if out := c.ok("show", d); !strings.Contains(out, "front      since ") {
			t.Errorf("show: %s", out)
		}
		if out := c.ok("explain", b); !strings.Contains(out, "2 ready elements are ahead of it in order") {
			t.Errorf("explain: %s", out)
		}
		if out := c.ok("show", b); !strings.Contains(out, "priority   500\n") {
			t.Errorf("show: %s", out)
		}
		c.server.kill(t)
		c.serve()
	})
	if got != "d e b a" {
		t.Errorf("the jobs ran in the order %s, want d e b a", got)
	}
	got = round(func(submit func(name, head string) string) {
		submit("a", "priority: low")
		submit("b", "priority: high")
		c.ok("queues", "set", "default", "--order", "fifo")
	})
	if got != "a b" {
		t.Errorf("after a change of the queue's order the jobs ran in the order %s, want a b", got)
	}
	c.ok("queues", "create", "side")
	got = round(func(submit func(name, head string) string) {
		a := submit("a", "")
		submit("b", "")
		c.ok("queues", "pause", "side")
		c.ok("update", a, "--queue", "side", "--front")
		if out := c.ok("explain", a); !strings.Contains(out, "queue side is paused") {
			t.Errorf("explain of what was moved to a paused queue: %s", out)
		}
		c.ok("queues", "resume", "side")
		c.ok("update", a, "--queue", "default")
	})
	if got != "a b" {
		t.Errorf("what came back from another queue ran in the order %s, want a b", got)
	}
	c.refused([]string{"update", first, "--front"}, first, "has ended")
	held := c.submit("run: echo", "--hold")
	c.refused([]string{"update", held}, "--priority, --queue or --front")
	c.refused([]string{"update", held, "--priority", "urgent"}, "urgent", "critical", "1000")
	c.refused([]string{"update", held, "--queue", "nowhere"}, "nowhere", "default, side")
	if got := c.ok("update", held, "--front=false", "--priority", "7", "-o", "json"); !strings.Contains(got, `"priority": 7`) || !strings.Contains(got, `"queue": "default"`) {
		t.Errorf("update -o json: %s", got)
	}
}

// TestSeveralNouns: a command does what it can for all that it names, says on a line each what it
// could not do, and fails then.
func TestSeveralNouns(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.submit("run: echo", "--hold"), c.submit("run: echo", "--hold")
	c.ok("cancel", c.submit("run: echo", "--hold")) // 3, which has ended
	for _, tt := range []struct {
		args      []string
		out, errs []string // what begins the lines
	}{
		{[]string{"update", "99", a, "x", "3", b, "--priority", "7"}, []string{a + " is in queue default", b + " is in queue default"}, []string{"reeve: 99: ", "reeve: x: ", "reeve: 3: "}},
		{[]string{"release", "99", a, b + ".nothing", b}, []string{a + " is released", b + " is released"}, []string{"reeve: 99: ", "reeve: " + b + ".nothing: "}},
		{[]string{"hold", a + ".3", "3", b, a}, []string{b + " is held", a + " is held"}, []string{"reeve: " + a + ".3: ", "reeve: 3: "}},
		{[]string{"wait", "-q", "3", "99", "98"}, nil, []string{"reeve: 99: ", "reeve: 98: "}},
		{[]string{"cancel", "99", a, "98"}, []string{a + ": 1 waiting"}, []string{"reeve: 99: ", "reeve: 98: "}},
		{[]string{"kill", "99", b}, []string{b + ": 1 waiting"}, []string{"reeve: 99: "}},
	} {
		r := c.reeve(tt.args...)
		begin := func(text string, lines []string) bool {
			return slices.EqualFunc(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), lines, strings.HasPrefix)
		}
		if r.code != 125 || !begin(r.out, tt.out) || !begin(r.err, tt.errs) {
			t.Errorf("reeve %v: exit %d\n%s%s", tt.args, r.code, r.out, r.err)
		}
	}
	r := c.reeve("cancel", "99", a, "-o", "json")
	var all []struct{ ID, Error string }
	if err := json.Unmarshal([]byte(r.out), &all); err != nil || r.code != 125 || len(all) != 2 || all[0].ID != "99" || all[0].Error == "" || all[1].ID != a || all[1].Error != "" {
		t.Errorf("cancel -o json: exit %d, %v\n%s", r.code, err, r.out)
	}
	c.server.kill(t)
	r = c.reeve("hold", a, b, "99")
	if want := "; not done: " + a + " " + b + " 99\n"; r.code != 125 || r.out != "" || strings.Count(r.err, "\n") != 1 || !strings.HasSuffix(r.err, want) {
		t.Errorf("without a server: exit %d\n%s%s", r.code, r.out, r.err)
	}
}
