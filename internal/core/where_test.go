package core

import (
	"slices"
	"strings"
	"testing"
)

// TestWhereAndPrefer: what a job file says of workers decides where its attempts go; a worker that
// names no pool is in the default one.
func TestWhereAndPrefer(t *testing.T) {
	l := testLab(t)
	mustTurn(t, l, RaiseFormat{To: FormatConditions})
	for name, labels := range map[string]map[string]string{
		"w1": {"zone": "eu-1", "price": "0.9"}, "w2": {"zone": "eu-2", "price": "0.2"}, "w3": {"zone": "us", "price": "0.1"}, "w4": {},
	} {
		h := goodHello(name)
		h.Labels, h.Slots, h.Capacity.CPU, h.Prefetch = labels, 2, 2000, 2
		mustJoin(t, l, h)
	}
	for _, c := range []struct{ text, want string }{
		{"where: 'labels.zone.startsWith(\"eu-\")'\nprefer: cheapest\narray: 0-2\n", "w1 w2 w2"},
		{"prefer: [cheapest, {when: zone=us, weight: -1}]\n", "w1"},
		{"where: 'pool == \"default\" && !has(labels.zone)'\n", "w4"},
		{"where: [zone=us, 'double(labels.price) > 0.1']\n", ""},
		{"nodes: 2\nprefer: 'name == \"w4\" || name == \"w3\"'\n", "w3 w4"},
	} {
		id := mustSubmit(t, l, c.text+"run: x\n")
		l.place()
		var on []string
		j := l.s.jobs.get(id)
		for a := j.tasks[0].nextLive(0); a != nil; a = j.tasks[0].nextLive(a.position + 1) {
			on = append(on, a.worker.hello.Name)
		}
		if got := strings.Join(slices.Sorted(slices.Values(on)), " "); got != c.want {
			t.Errorf("%s: on %s, want %s", c.text, got, c.want)
		}
	}
}
