package several

import (
	"os"
	"testing"
	"time"
)

// TestWritesAfter finds the end of the pause that a change of leader made.
func TestWritesAfter(t *testing.T) {
	began := time.Unix(100, 0)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	for _, c := range []struct {
		name         string
		acknowledged []int // after it began, in milliseconds
		want         time.Duration
	}{
		{"the old leader took some more", []int{-900, -5, 5, 40, 390, 400}, 390 * time.Millisecond},
		{"a pause before does not count", []int{-900, 5, 10}, 5 * time.Millisecond},
		{"a pause that began before does", []int{-10, 2000, 2010}, 2000 * time.Millisecond},
		{"nothing more", []int{-10}, 0},
	} {
		w := &writes{refused: 2}
		for _, ms := range c.acknowledged {
			w.acknowledged = append(w.acknowledged, at(ms))
		}
		if took, refused := w.after(began); took != c.want || refused != 2 {
			t.Errorf("%s: %s, want %s; %d refused, want 2", c.name, took, c.want, refused)
		}
	}
}

// TestLeads reads the newest term from what a server says.
func TestLeads(t *testing.T) {
	s := &server{log: t.TempDir() + "/log"}
	if err := os.WriteFile(s.log, []byte(`time=2026-01-02T03:04:05.006Z level=INFO msg=leading epoch=3 generation=1
time=2026-01-02T03:04:06.007Z level=INFO msg="another server leads"
time=2026-01-02T03:04:07.008Z level=INFO msg=leading epoch=5 generation=1
`), 0o600); err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 1, 2, 3, 4, 7, 8e6, time.UTC)
	for _, c := range []struct {
		after time.Time
		later bool
	}{{want.Add(-time.Second), true}, {want, false}} {
		if at, later, err := s.leads(c.after); !at.Equal(want) || later != c.later || err != nil {
			t.Errorf("after %s: %s, %t, %v; want %s, %t", c.after, at, later, err, want, c.later)
		}
	}
}

// TestFirstStart leaves out what began before, and does not rely on the order of lines.
func TestFirstStart(t *testing.T) {
	c := &Cluster{started: t.TempDir() + "/started"}
	if err := os.WriteFile(c.started, []byte("1000\n3000\n2000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if at, found, err := c.firstStart(time.Unix(0, 1000)); !at.Equal(time.Unix(0, 2000)) || !found || err != nil {
		t.Errorf("%s, %t, %v; want 2000 ns", at, found, err)
	}
	if _, found, err := c.firstStart(time.Unix(0, 3000)); found || err != nil {
		t.Errorf("found %t, %v; want nothing", found, err)
	}
}
