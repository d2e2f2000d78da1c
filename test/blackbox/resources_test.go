package blackbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// given is a job's lines that also say where it runs and what it was given.
const given = `note() { echo "$1 $REEVE_TASK $REEVE_ARRAY_INDEX $REEVE_FENCE $$ $REEVE_WORKER gpu=$REEVE_GPUS licence=$REEVE_RESOURCE_LICENCE" > "$LEDGER"; }; ` +
	`test "$CUDA_VISIBLE_DEVICES" = "$REEVE_GPUS" || exit 9; note begin; `

// life is an attempt as its own lines tell it: from its first to its last, by their places.
type life struct {
	entry
	from, to int
	worker   string
	gpus     []string
	licences int
}

// lives are the attempts of a ledger, by when they began.
func (l *ledger) lives() []life {
	l.t.Helper()
	byFence := map[uint64]*life{}
	var order []*life
	for i, e := range l.entries() {
		a := byFence[e.fence]
		if a == nil {
			a = &life{entry: e, from: i, worker: e.words[0]}
			for _, w := range e.words[1:] {
				switch name, value, _ := strings.Cut(w, "="); {
				case value == "":
				case name == "gpu":
					a.gpus = strings.Split(value, ",")
				case name == "licence":
					a.licences = number(l.t, value)
				}
			}
			byFence[e.fence] = a
			order = append(order, a)
		}
		a.to = i
	}
	out := make([]life, 0, len(order))
	for _, a := range order {
		out = append(out, *a)
	}
	return out
}

// fits checks that at no time more ran on a worker than it has: licences by their number,
// devices by their ids. It returns the most that ran at a time with each.
func (l *ledger) fits(licences int, gpus ...string) (mostLicences, mostGPUs int) {
	l.t.Helper()
	all := l.lives()
	for _, a := range all {
		sum, devices := 0, 0
		for _, b := range all {
			if b.worker != a.worker || b.from > a.from || b.to < a.from {
				continue // it did not run when a began
			}
			sum += b.licences
			devices += len(b.gpus)
			for _, id := range b.gpus {
				if b.fence != a.fence && slices.Contains(a.gpus, id) {
					l.t.Errorf("on %s attempt %d of %s.%d began on device %s while attempt %d of %s.%d ran on it", a.worker, a.fence, a.task, a.index, id, b.fence, b.task, b.index)
				}
			}
		}
		for _, id := range a.gpus {
			if !slices.Contains(gpus, id) {
				l.t.Errorf("%s.%d was given device %s, which %s does not have", a.task, a.index, id, a.worker)
			}
		}
		if sum > licences {
			l.t.Errorf("when %s.%d began on %s, attempts had %d licences; there are %d", a.task, a.index, a.worker, sum, licences)
		}
		mostLicences, mostGPUs = max(mostLicences, sum), max(mostGPUs, devices)
	}
	return mostLicences, mostGPUs
}

// stock is what -o json shows of what a worker has.
type stock struct {
	Name    string            `json:"name"`
	State   string            `json:"state"`
	Has     map[string]int64  `json:"resources"`
	Used    map[string]int64  `json:"resources_used"`
	Devices map[string]string `json:"devices"`
	Taken   map[string]string `json:"devices_used"`
}

func (c *cluster) stock(name string) stock {
	c.t.Helper()
	for _, w := range decode[[]stock](c.t, c.ok("workers", "-o", "json")) {
		if w.Name == name {
			return w
		}
	}
	return stock{}
}

// takes waits until attempts on a worker have these devices and no others.
func (c *cluster) takes(name string, gpus ...string) {
	c.t.Helper()
	want := strings.Join(gpus, ",")
	await(c.t, fmt.Sprintf("attempts on %s have the devices %q", name, want), func() bool {
		got := strings.Split(c.stock(name).Taken["gpu"], ",")
		slices.Sort(got)
		return strings.Join(got, ",") == want
	})
}

// equipped starts a worker with two licences and the devices named.
func (c *cluster) equipped(name, gpus string) *proc {
	c.t.Helper()
	return c.worker(name, "--cpu", "8", "--slots", "8", "--label", "is="+name, "--resource", "licence=2", "--device", "gpu="+gpus,
		"--resource", "disk=1G", "--resource", "bandwidth=0")
}

// TestDevicesOutliveCrashes kills server, agent and keeper under attempts that have all devices:
// who has one keeps it, nobody else gets it, and it is free once and for all when that is over.
func TestDevicesOutliveCrashes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "3s")
	w1, w2 := c.equipped("w1", "a,b"), c.equipped("w2", "a,b")
	l := newLedger(t)
	file := func(task, more string) string {
		return l.env() + "\ntasks:\n  " + task + ": {resources: {cpu: 0.1, gpu: 1}, " + more + ", run: '" + given + atGate + noteEnd + "'}\n"
	}
	first := c.submit(file("first", "array: 0-3"))
	l.seen(4, "begin", "first")
	second := c.submit(file("second", "array: 0-3"))
	c.takes("w1", "a", "b")
	c.takes("w2", "a", "b")
	if out := c.ok("explain", second); !strings.Contains(out, "gpu") {
		t.Errorf("explain says\n%s\nand not that devices are missing", out)
	}

	c.server.kill(t)
	c.serve()
	w1.kill(t)
	w1 = c.equipped("w1", "a,b")
	l.seen(len(l.of("tick", "first"))+40, "tick", "first")
	c.takes("w1", "a", "b")
	c.takes("w2", "a", "b")
	if n := len(l.of("begin", "second")); n > 0 {
		t.Errorf("%d of those that wait for devices have begun", n)
	}

	// The same worker comes back with one device, and takes nothing before that fits.
	w1.kill(t)
	w1 = c.equipped("w1", "b")
	plain := c.submit(l.env() + "\nwhere: [is=w1]\nrun: 'true'")
	c.takes("w1", "a", "b")
	if s := c.stock("w1"); s.Has["gpu"] != 1 || s.Used["gpu"] != 2 || s.Devices["gpu"] != "b" {
		t.Errorf("w1 shows %+v", s)
	}
	if s := c.show(plain).State; s != "pending" {
		t.Errorf("a job for a worker with less than what runs there takes is %s", s)
	}

	// The machine of the other dies: what ran there is lost, and its devices are free again.
	w2.kill(t)
	c.killKeepers("w2")
	l.open("gate")
	c.ends(plain, "succeeded")
	c.equipped("w2", "a,b")
	c.ends(first, "succeeded")
	c.ends(second, "succeeded")
	for _, name := range []string{"w1", "w2"} {
		c.takes(name)
		if s := c.stock(name); len(s.Used) > 0 {
			t.Errorf("%s has nothing to do and shows %+v", name, s)
		}
	}
	l.fits(2, "a", "b")
	l.noTwins()
	w1.stop(t)
}

// TestNothingIsOverCommitted runs more than fits of everything, and kills agents and the server
// meanwhile.
func TestNothingIsOverCommitted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "3s")
	w1 := c.equipped("w1", "a,b")
	c.equipped("w2", "a,b")
	l := newLedger(t)
	const work = given + `i=0; while [ $i -lt 6 ]; do note tick; sleep 0.03; i=$((i+1)); done; ` + noteEnd
	ids := []string{c.submit(l.env() + `
tasks:
  one: {array: 0-19, resources: {cpu: 0.1, gpu: 1}, run: '` + work + `'}
  two: {array: 0-5, resources: {cpu: 0.1, gpu: 2}, run: '` + work + `'}
  seat: {array: 0-19, resources: {cpu: 0.1, licence: 1}, run: '` + work + `'}
  both: {array: 0-9, resources: {cpu: 0.1, gpu: 1, licence: 2}, run: '` + work + `'}
`), c.submit(l.env() + `
priority: high
array: 0-9
resources: {cpu: 0.1, gpu: 1, licence: 1}
run: '` + work + `'`)}
	for round := range 3 {
		l.seen(len(l.of("end", ""))+6, "end", "")
		if round == 1 {
			c.server.kill(t)
			c.serve()
			continue
		}
		w1.kill(t)
		w1 = c.equipped("w1", "a,b")
	}
	for _, id := range ids {
		c.ends(id, "succeeded")
	}
	licences, gpus := l.fits(2, "a", "b")
	if licences != 2 || gpus != 2 {
		t.Errorf("at most %d licences and %d devices of a worker were in use at a time; both were wanted all the time", licences, gpus)
	}
	for task, n := range map[string]int{"one": 20, "two": 6, "seat": 20, "both": 10, "main": 10} {
		for i := range n {
			l.begins(task, 1, i)
		}
	}
	for _, name := range []string{"w1", "w2"} {
		if s := c.stock(name); len(s.Used) > 0 || len(s.Taken) > 0 || s.Has["gpu"] != 2 || s.Has["licence"] != 2 {
			t.Errorf("%s has nothing to do and shows %+v", name, s)
		}
	}
}

// TestEither has attempts take what is to be had: devices first, then processors. Each is told which it
// has, and keeps that while server and agent die.
func TestEither(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "3s")
	w1 := c.equipped("w1", "a,b")
	l := newLedger(t)
	const told = `note() { echo "$1 $REEVE_TASK $REEVE_ARRAY_INDEX $REEVE_FENCE $$ $REEVE_WORKER cpu=$REEVE_CPUS gpu=$REEVE_GPUS" > "$LEDGER"; }; note begin; `
	id := c.submit(l.env() + "\ntasks:\n  a: {array: 0-5, resources: {memory: 1Mi}, either: [{gpu: 1, cpu: 0.1}, {cpu: 2}], run: '" + told + atGate + noteEnd + "'}\n")
	l.seen(5, "begin", "a")
	c.takes("w1", "a", "b")
	if out := c.ok("explain", id); !strings.Contains(out, "with cpu=0.1,memory=1Mi,gpu=1: ") || !strings.Contains(out, "with cpu=2,memory=1Mi: ") {
		t.Errorf("explain says\n%s\nand not why none of both is to be had", out)
	}
	if out := c.ok("show", id); !strings.Contains(out, "cpu 0.1, gpu 1, memory 1Mi or cpu 2, memory 1Mi") {
		t.Errorf("show says\n%s", out)
	}
	c.server.kill(t)
	c.serve()
	w1.kill(t)
	c.equipped("w1", "a,b")
	c.takes("w1", "a", "b")
	l.open("gate")
	c.ends(id, "succeeded")
	c.takes("w1")
	var ways []string
	for _, e := range l.of("begin", "a")[:5] {
		way := e.words[1]
		if !strings.HasSuffix(strings.Join(e.words, " "), "gpu=") {
			way += " gpu"
		}
		ways = append(ways, way)
	}
	slices.Sort(ways)
	if want := []string{"cpu=0.1 gpu", "cpu=0.1 gpu", "cpu=2", "cpu=2", "cpu=2"}; !slices.Equal(ways, want) {
		t.Errorf("attempts were told %q, want %q", ways, want)
	}
	l.noTwins()
	// Which it took is kept, also of attempts that were not the last, and when the server has only rows.
	again := c.submit("run: exit 3\nresources: {memory: 1Mi}\neither: [{gpu: 3, cpu: 0.1}, {cpu: 2}]\nretry: {max_attempts: 2, delay: 1ms}\n")
	c.ends(again, "failed")
	for _, restart := range []bool{false, true} {
		if restart {
			c.server.kill(t)
			c.serve()
		}
		ways = nil
		for i := range 6 {
			for _, a := range c.attempts(fmt.Sprintf("%s.a.%d", id, i)) {
				ways = append(ways, amounts(a.Resources))
			}
		}
		slices.Sort(ways)
		if want := []string{"cpu=0.1 gpu=1 memory=1Mi", "cpu=2 memory=1Mi"}; !slices.Equal(slices.Compact(ways), want) {
			t.Errorf("after restart %v attempts were given %q, want %q", restart, ways, want)
		}
		tries := c.attempts(again + ".main")
		if len(tries) != 2 || amounts(tries[0].Resources) != "cpu=2 memory=1Mi" || amounts(tries[1].Resources) != "cpu=2 memory=1Mi" {
			t.Errorf("after restart %v the attempts of job %s are %+v", restart, again, tries)
		}
	}
	if out := c.ok("show", again+".main", "-o", "wide"); strings.Count(out, "cpu 2, memory 1Mi") != 2 {
		t.Errorf("show -o wide says\n%s", out)
	}
}

// amounts is amounts by name as one text.
func amounts(resources map[string]string) string {
	parts := make([]string, 0, len(resources))
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		parts = append(parts, name+"="+resources[name])
	}
	return strings.Join(parts, " ")
}
