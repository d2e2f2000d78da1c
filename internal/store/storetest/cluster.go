package storetest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// long is a lease that does not run out while a test runs, and brief one that is over as
// soon as the database's clock has moved.
const (
	long  = time.Hour
	brief = time.Millisecond
)

var clusterTests = []test{
	{"one holds the lease", func(t *testing.T, o Opened) {
		leads(t, o, store.Lease{})
		claim(t, o, 1, long, 1)
		claim(t, o, 2, long, 1)
		claim(t, o, 1, long, 1)
		leads(t, o, store.Lease{Holder: id(1), Address: "https://1"})
	}},
	{"a lease runs out", func(t *testing.T, o Opened) {
		claim(t, o, 1, brief, 1)
		expire(t, o)
		claim(t, o, 2, long, 2)
		claim(t, o, 1, long, 2)
	}},
	{"a lease is given up", func(t *testing.T, o Opened) {
		claim(t, o, 1, long, 1)
		check(t, o.Cluster.Yield(t.Context(), id(2)))
		claim(t, o, 2, long, 1)
		check(t, o.Cluster.Yield(t.Context(), id(1)))
		expire(t, o)
		claim(t, o, 2, long, 2)
	}},
	{"one of many gets the lease", func(t *testing.T, o Opened) {
		var wg sync.WaitGroup
		holders := make([][16]byte, 16)
		for i := range holders {
			wg.Go(func() {
				l, err := o.Cluster.Claim(t.Context(), id(byte(i+1)), "https://x", long)
				if err != nil {
					t.Error(err)
				}
				holders[i] = l.Holder
			})
		}
		wg.Wait()
		for _, h := range holders {
			if h != holders[0] || h == ([16]byte{}) {
				t.Fatalf("servers believe in holders %x", holders)
			}
		}
	}},
	{"refuses claims that say nothing", func(t *testing.T, o Opened) {
		_, err := o.Cluster.Claim(t.Context(), [16]byte{}, "https://x", long)
		wants(t, "a claim of nobody", err, store.ErrRefused)
		_, err = o.Cluster.Claim(t.Context(), id(1), "https://x", 0)
		wants(t, "a claim for no time", err, store.ErrRefused)
	}},
	{"generations rise", func(t *testing.T, o Opened) {
		for _, g := range []struct{ raise, want uint64 }{{3, 3}, {2, 3}, {7, 7}} {
			check(t, o.Cluster.Raise(t.Context(), g.raise))
			l, err := o.Cluster.Current(t.Context())
			check(t, err)
			if l.Generation != g.want {
				t.Errorf("after Raise(%d): generation %d, want %d", g.raise, l.Generation, g.want)
			}
		}
	}},
	{"servers meet", func(t *testing.T, o Opened) {
		one := store.Server{ID: id(1), Address: "https://b", Version: "v1", Format: 1}
		two := store.Server{ID: id(2), Address: "https://a", Version: "v2", Format: 2}
		meet(t, o, one, one)
		meet(t, o, two, two, one)
		one.Address, one.Format, one.Behind, one.Trouble = "https://c", 3, 2*time.Second, "too old"
		meet(t, o, one, two, one)
		check(t, o.Cluster.Leave(t.Context(), two.ID))
		check(t, o.Cluster.Leave(t.Context(), two.ID))
		meet(t, o, one, one)
		one.Trouble = strings.Repeat("x", store.MaxAddress+1)
		_, err := o.Cluster.Meet(t.Context(), one, long)
		wants(t, "a server in much trouble", err, store.ErrRefused)
		_, err = o.Cluster.Meet(t.Context(), store.Server{Address: "https://a"}, long)
		wants(t, "a server without an id", err, store.ErrRefused)
	}},
	{"the first secret stands", func(t *testing.T, o Opened) {
		secret := func(name, proposal, want string) {
			got, err := o.Cluster.Secret(t.Context(), name, []byte(proposal))
			check(t, err)
			diff(t, "the secret "+name, got, []byte(want))
		}
		secret("ca", "\x00one", "\x00one")
		secret("ca", "two", "\x00one")
		secret("key", "three", "three")
		if o.Reopen != nil {
			o = o.Reopen(t)
		}
		secret("ca", "four", "\x00one")
		_, err := o.Cluster.Secret(t.Context(), "", []byte("x"))
		wants(t, "a secret without a name", err, store.ErrRefused)
		_, err = o.Cluster.Secret(t.Context(), "x", bytes.Repeat([]byte("x"), store.MaxSecret+1))
		wants(t, "a large secret", err, store.ErrRefused)
	}},
	{"servers agree on one secret", func(t *testing.T, o Opened) {
		var wg sync.WaitGroup
		secrets := make([][]byte, 8)
		for i := range secrets {
			wg.Go(func() {
				var err error
				if secrets[i], err = o.Cluster.Secret(t.Context(), "ca", []byte{byte(i + 1)}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, s := range secrets {
			if !bytes.Equal(s, secrets[0]) || len(s) == 0 {
				t.Fatalf("servers have secrets %x", secrets)
			}
		}
	}},
}

func id(n byte) (id [16]byte) {
	id[0], id[15] = 0xfe, n
	return id
}

// claim claims the lease for server n; want is the server that must have it then.
func claim(t *testing.T, o Opened, n byte, length time.Duration, want byte) {
	t.Helper()
	l, err := o.Cluster.Claim(t.Context(), id(n), "https://"+string('0'+rune(n)), length)
	check(t, err)
	if l.Holder != id(want) || l.Left > length && n == want || l.Left <= 0 && length == long {
		t.Errorf("after a claim of %d for %s: %x has it for %s, want %d", n, length, l.Holder, l.Left, want)
	}
}

// expire waits until the lease is free by the database's clock.
func expire(t *testing.T, o Opened) {
	t.Helper()
	for {
		l, err := o.Cluster.Current(t.Context())
		check(t, err)
		if l.Left <= 0 {
			return
		}
	}
}

// leads compares the lease, but for its times.
func leads(t *testing.T, o Opened, want store.Lease) {
	t.Helper()
	l, err := o.Cluster.Current(t.Context())
	check(t, err)
	if l.Now == 0 {
		t.Error("the lease has no time")
	}
	l.Left, l.Now = 0, 0
	diff(t, "the lease", l, want)
}

// meet meets as self and compares who is there.
func meet(t *testing.T, o Opened, self store.Server, want ...store.Server) {
	t.Helper()
	got, err := o.Cluster.Meet(t.Context(), self, long)
	check(t, err)
	for i := range got {
		if got[i].Ago < 0 || got[i].Ago > long {
			t.Errorf("the server at %s was there %s ago", got[i].Address, got[i].Ago)
		}
		got[i].Ago = 0
	}
	diff(t, "the servers", got, want)
}
