package blackbox

import (
	"strings"
	"testing"
)

// TestWhere: a job runs on a worker of which all that it asks for is true, waits where there is
// none, and says of how many workers what is not.
func TestWhere(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--label", "zone=eu-1", "--label", "generation=2")
	c.worker("w2", "--label", "zone=eu-2", "--label", "generation=10", "--pool", "owned")
	c.worker("w3", "--label", "zone=us", "--label", "generation=new")
	for _, test := range []struct{ where, want string }{
		{`'labels.zone in ["eu-1", "eu-2"] && int(labels.generation) >= 3'`, "w2"},
		{`[zone, 'labels.zone.startsWith("eu-")', 'pool != "owned"']`, "w1"},
		{`'!labels.zone.startsWith("eu-")'`, "w3"},
		{`'name == "w2" && has(labels.os) && labels.pool == pool'`, "w2"},
	} {
		id := c.submit("where: " + test.where + "\nrun: echo\n")
		c.ends(id, "succeeded")
		if got := c.attempts(id + ".main"); len(got) != 1 || got[0].Worker != test.want {
			t.Errorf("where: %s: ran as %+v, want on %s", test.where, got, test.want)
		}
	}
	text := "where: [zone, 'int(labels.generation) >= 11']\nrun: echo\n"
	c.refused([]string{"run", "--where", "zone == 'eu'", "--", "true"}, `"zone == 'eu'": is no expression: undeclared reference to 'zone'`, "want labels.zone for a label")
	id := c.submit(text)
	like(t, "explain", c.ok("explain", id), `job `+id+` is pending

main: pending
  - no worker can run it now
  - all 3 workers do not meet int\(labels.generation\) >= 11 \(1 of them: type conversion error from 'string' to 'int'\)
.*`)
	c.worker("w4", "--label", "zone=us", "--label", "generation=11")
	c.ends(id, "succeeded")
	if out := c.ok("run", "--where", `labels.zone == "us"`, "--where", "generation=new", "--", "sh", "-c", "echo $REEVE_WORKER"); strings.TrimSpace(out) != "w3" {
		t.Errorf("run --where ran on %s, want w3", out)
	}
	if out := c.ok("run", "--pool", "default", "--nodes", "2", "--where", "zone=us", "--resource", "disk=1M", "--", "sh", "-c", "echo $REEVE_NODES"); out != "2\n2\n" {
		t.Errorf("run --nodes printed %q", out)
	}
}

// TestPrefer: of the workers with room a job gets the one that it prefers, and any other when that
// has none.
func TestPrefer(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--slots", "8", "--cpu", "8", "--label", "price=0.9")
	c.worker("w2", "--slots", "1", "--cpu", "1", "--label", "price=0.25", "--label", "spot=true")
	c.worker("w3", "--slots", "8", "--cpu", "8")
	for _, test := range []struct{ prefer, want string }{
		{"cheapest", "w2"},
		{"double(labels.price)", "w1"},
		{"[{when: cheapest, weight: 2}, {when: spot=true, weight: -9}]", "w1"},
		{`'name == "w3"'`, "w3"},
		{"nothing=here", "w1"},
	} {
		id := c.submit("prefer: " + test.prefer + "\nrun: echo\n")
		c.ends(id, "succeeded")
		if got := c.attempts(id + ".main"); len(got) != 1 || got[0].Worker != test.want {
			t.Errorf("prefer: %s: ran as %+v, want on %s", test.prefer, got, test.want)
		}
	}
	hog := c.submit("where: spot\nrun: sleep 3600\n")
	await(t, "the cheapest worker is taken", func() bool { return c.show(hog).State == "running" })
	if out := c.ok("run", "--prefer", "cheapest", "--", "sh", "-c", "echo $REEVE_WORKER"); strings.TrimSpace(out) != "w1" {
		t.Errorf("beside the full one the cheapest is w1, and it ran on %s", out)
	}
	c.ok("cancel", hog)
}

// TestCheapestWithinDeadline: what prefers the cheapest worker and has a deadline waits for that while a dear
// one has room, says until when, also after the server has died, and starts there when it is free; what
// could be late otherwise takes the dear one.
func TestCheapestWithinDeadline(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("cheap", "--slots", "1", "--cpu", "1", "--label", "price=0.1")
	c.worker("dear", "--slots", "8", "--cpu", "8", "--label", "price=0.9")
	hog := c.submit("where: price=0.1\nrun: sleep 3600\n")
	await(t, "the cheap worker is taken", func() bool { return c.show(hog).State == "running" })
	ran := func(id string) string {
		c.ends(id, "succeeded")
		return c.attempts(id + ".main")[0].Worker
	}
	patient := c.submit("prefer: cheapest\ntimeout: 1m\ndeadline: 1h\nrun: echo\n")
	for _, deadline := range []string{"80s", "88s"} { // 75 s and 10 s before
		if got := ran(c.submit("prefer: cheapest\ntimeout: 1m\ndeadline: " + deadline + "\nrun: echo\n")); got != "dear" {
			t.Errorf("with a deadline in %s it ran on %s", deadline, got)
		}
	}
	c.server.kill(t)
	c.serve()
	await(t, "explain says for which worker it waits", func() bool {
		return strings.Contains(c.ok("explain", patient), "which its deadline allows: cheap is busy")
	})
	like(t, "explain", c.ok("explain", patient), `job `+patient+` is pending

main: pending
  - 1 of 2 fitting workers is busy: 1 has no free slot
  - it waits for a cheaper worker until .* UTC, which its deadline allows: cheap is busy
.*`)
	c.ok("cancel", hog)
	if got := ran(patient); got != "cheap" {
		t.Errorf("it ran on %s, and the cheap worker had room in time", got)
	}
}

// TestApart: elements that are to be apart run one in each zone, whatever room there is, and go on
// with it when server and worker have died; those that are spread go where the fewest are.
func TestApart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "3s")
	worker := func(name, zone string) *proc {
		return c.worker(name, "--slots", "8", "--cpu", "8", "--label", "zone="+zone)
	}
	w1 := worker("w1", "a")
	worker("w2", "a")
	worker("w3", "b")
	l := newLedger(t)
	const told = `note() { echo "$1 $REEVE_TASK $REEVE_ARRAY_INDEX $REEVE_FENCE $$ $REEVE_WORKER" > "$LEDGER"; }; note begin; `
	// zones counts those of a task that have begun in each zone.
	zones := func(task string) map[string]int {
		out := map[string]int{}
		for _, e := range l.of("begin", task) {
			out[map[string]string{"w1": "a", "w2": "a", "w3": "b"}[e.words[0]]]++
		}
		return out
	}
	apart := c.submit(l.env() + "\ntasks: {a: {array: 0-3, apart: zone, run: '" + told + atGate + noteEnd + "'}}\n")
	l.seen(2, "begin", "a")
	spread := c.submit(l.env() + "\ntasks: {s: {array: 0-5, spread: zone, run: '" + told + atGate + noteEnd + "'}}\n")
	l.seen(6, "begin", "s")
	if got := zones("s"); got["a"] != 3 || got["b"] != 3 {
		t.Errorf("those that are spread began in the zones %v", got)
	}
	c.server.kill(t)
	c.serve()
	w1.kill(t)
	worker("w1", "a")
	await(t, "explain says what is in the way", func() bool {
		return strings.Contains(c.ok("explain", apart), "3 have a zone in which one of its elements runs")
	})
	if got := zones("a"); got["a"] != 1 || got["b"] != 1 {
		t.Errorf("those that are to be apart began in the zones %v", got)
	}
	l.open("gate")
	c.ends(spread, "succeeded")
	c.ends(apart, "succeeded")
	l.noTwins()

	const heavy = "run: sleep 3600\napart: {by: zone, key: heavy}\n" // one in each zone, whatever its job
	first, second, third := c.submit(heavy), c.submit(heavy), c.submit(heavy)
	await(t, "explain names what has the key", func() bool {
		out := c.ok("explain", third)
		return strings.Contains(out, "something of the key heavy runs") && strings.Contains(out, "job "+first+" on w") && strings.Contains(out, "job "+second+" on w")
	})
	for _, id := range []string{first, second, third} {
		c.ok("cancel", id)
	}
}

// TestNear: a task runs where the one did that it is near, though others have more room, also when the
// server has died between the two; where that has none it runs elsewhere, and does not wait.
func TestNear(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--slots", "1", "--cpu", "1", "--label", "data=here")
	c.worker("w2", "--slots", "8", "--cpu", "8")
	l := newLedger(t)
	ranOn := func(id, task, want string) {
		t.Helper()
		if got := c.attempts(id + "." + task); len(got) != 1 || got[0].Worker != want {
			t.Errorf("%s.%s ran as %+v, want on %s", id, task, got, want)
		}
	}
	const prepare = "\n  prepare: {where: data, run: echo}\n"
	for range 3 {
		id := c.submit("tasks:" + prepare + "  use: {needs: prepare, near: prepare, run: echo}\n  again: {needs: use, near: [use, prepare], run: echo}\n")
		c.ends(id, "succeeded")
		for _, task := range []string{"prepare", "use", "again"} {
			ranOn(id, task, "w1")
		}
	}
	full := c.submit("tasks:" + prepare + "  hog: {needs: prepare, where: data, run: sleep 3600}\n  use: {needs: prepare, near: prepare, run: echo}\n")
	await(t, "it runs although w1 has no room", func() bool {
		return len(c.attempts(full+".use")) == 1 && c.elements(full + ".use")[0].State == "succeeded"
	})
	ranOn(full, "use", "w2")
	c.ok("cancel", full)
	c.ends(full, "cancelled")
	id := c.submit(l.env() + "\ntasks:" + prepare + "  gate: {needs: prepare, where: 'name == \"w2\"', run: '" + noteBegin + atGate + noteEnd + "'}\n  use: {needs: gate, near: prepare, run: echo}\n")
	l.seen(1, "begin", "gate")
	c.server.kill(t)
	c.serve()
	l.open("gate")
	c.ends(id, "succeeded")
	ranOn(id, "use", "w1")
	waits := c.submit("tasks:" + prepare + "  hogs: {needs: prepare, array: 0-9, run: sleep 3600}\n  use: {needs: prepare, near: prepare, run: echo}\n")
	await(t, "explain says where it would rather run", func() bool {
		return strings.Contains(c.ok("explain", waits), "use: pending\n  - all 2 fitting workers are busy: 2 have no free slot\n") &&
			strings.Contains(c.ok("explain", waits), "\n  would rather run on worker w1, where task prepare ran\n")
	})
	c.ok("cancel", waits)
	c.refusedFile("tasks:"+prepare+"  use: {near: prepare, run: echo}\n", `tasks.use.near: "prepare": need not have run before use`)
}
