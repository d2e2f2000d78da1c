package blackbox

import (
	"strings"
	"testing"
)

// TestReservation sets a real worker aside for a queue, also over the death of its server: only what is of
// that queue runs there, what waits says why, and all of it runs when the reservation is ended, or over.
func TestReservation(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "2", "--slots", "2", "--prefetch", "2")
	c.ok("queues", "create", "night")
	c.refused([]string{"reserve", "big", "--workers", "w9", "--for", "1h"}, `worker "w9" does not exist`)
	c.refused([]string{"reserve", "big", "--pool", "default", "--from", "soon", "--for", "1h"}, `--from "soon"`, "2026-03-01T22:00:00Z")
	c.refused([]string{"reserve", "big", "--pool", "default", "--for", "400d"}, "it lasts 400 days; 366 are the most")
	c.refused([]string{"reserve", "big", "--for", "1h"}, "pool", "workers", "where")
	if out := c.ok("reserve", "big", "--workers", "w1", "--for", "1h", "--queue", "night"); !strings.HasPrefix(out, "reservation big sets 1 worker aside from ") || !strings.HasSuffix(out, " for queue default/night\n") {
		t.Errorf("reserve: %s", out)
	}
	waits := c.submit("run: echo")
	c.ends(c.submit("queue: night\nrun: echo"), "succeeded")
	explained := func() {
		t.Helper()
		if out := c.ok("explain", waits); !strings.Contains(out, "the only fitting worker is reserved by big until ") {
			t.Errorf("explain:\n%s", out)
		}
	}
	explained()
	if out := strings.Join(strings.Fields(c.ok("reservations")), " "); !strings.Contains(out, "big w1 ") || !strings.HasSuffix(out, " queue default/night active") {
		t.Errorf("reservations: %s", out)
	}
	if out := strings.Join(strings.Fields(c.ok("workers", "-o", "wide")), " "); !strings.Contains(out, " big from 20") {
		t.Errorf("workers: %s", out)
	}
	c.server.kill(t)
	c.serve()
	await(t, "the worker is back, and runs what it is reserved for", func() bool {
		return strings.Contains(c.ok("workers"), "ready")
	})
	c.ends(c.submit("queue: night\nrun: echo"), "succeeded")
	explained()
	if out := c.ok("unreserve", "big"); out != "reservation big is removed\n" {
		t.Errorf("unreserve: %s", out)
	}
	c.ends(waits, "succeeded")
	c.refused([]string{"unreserve", "big"}, `reservation "big" does not exist; there is none`)

	c.ok("reserve", "soon", "--pool", "default", "--from", "1h", "--for", "1h")
	c.ends(c.submit("run: echo\ntimeout: 10m"), "succeeded")
	late := c.submit("run: echo\ntimeout: 2h")
	if out := c.ok("explain", late); !strings.Contains(out, "is kept for reservation soon from ") {
		t.Errorf("explain:\n%s", out)
	}
	c.ok("reserve", "soon", "--pool", "default", "--for", "2s")
	c.ends(late, "succeeded")
	if out := c.ok("reservations", "-q"); out != "" {
		t.Errorf("one is left after its time: %s", out)
	}
}
