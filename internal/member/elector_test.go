package member

import (
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
)

const second = time.Second

var me, other = [16]byte{1}, [16]byte{2}

// TestElector holds when the lease is asked for and when it is certain.
func TestElector(t *testing.T) {
	e := NewElector(me, 2*second)
	check := func(what string, at time.Duration, ask Ask, leads bool, until time.Duration) {
		t.Helper()
		gotAt, gotAsk := e.Next()
		if gotAt != at || gotAsk != ask || e.Leads() != leads || e.Until() != until {
			t.Errorf("%s: asks %d at %s, leads %v until %s; want %d at %s, %v until %s",
				what, gotAsk, gotAt, e.Leads(), e.Until(), ask, at, leads, until)
		}
	}
	check("at first", 0, Look, false, 0)
	if e.Told(0, second, Look, store.Lease{Holder: other, Left: second}) {
		t.Error("it claims a lease that another has")
	}
	check("while another leads", second+100*time.Millisecond, Look, false, 0)
	e.Told(second, second, Look, store.Lease{Holder: other, Left: 20 * time.Millisecond})
	check("when that is about to end", second+21*time.Millisecond, Look, false, 0)
	if !e.Told(2*second, 2*second, Look, store.Lease{Holder: other}) {
		t.Error("it does not claim a free lease")
	}
	e.Told(2*second, 3*second, Claim, store.Lease{Holder: me, Left: 2 * second})
	check("when it has won", 2*second+second/2, Claim, true, 4*second)
	e.Failed(3 * second)
	check("when the store is away", 3*second+100*time.Millisecond, Claim, true, 4*second)
	e.Told(20*second, 20*second, Claim, store.Lease{Holder: me})
	check("when it is back", 20*second+second/2, Claim, true, 22*second)
	e.Told(21*second, 21*second, Claim, store.Lease{Holder: other, Left: second})
	check("when another has won", 21*second+100*time.Millisecond, Look, false, 21*second)
}

// TestElectorRests bounds how often short terms follow each other.
func TestElectorRests(t *testing.T) {
	e := NewElector(me, 2*second)
	now := time.Duration(0)
	term := func(length time.Duration) (rested time.Duration) {
		ended := now
		for !e.Told(now, now, Look, store.Lease{}) {
			now += second / 10
		}
		rested = now - ended
		e.Told(now, now, Claim, store.Lease{Holder: me, Left: second})
		now += length
		e.Lost(now)
		return rested
	}
	for i, want := range []time.Duration{0, 2 * second, 4 * second, 8 * second, 16 * second, maxRest, maxRest} {
		if got := term(second); got != want {
			t.Errorf("before term %d it rests %s; want %s", i+1, got, want)
		}
	}
	term(time.Minute)
	if got := term(second); got != 0 {
		t.Errorf("after a long term it rests %s", got)
	}
}
