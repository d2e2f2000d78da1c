package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/reeve-scheduler/reeve/internal/job"
	"pgregory.net/rapid"
)

// pastsOf is all that is known of a namespace's pasts, in order.
func pastsOf(x *Index) (out []Past) {
	x.Pasts("default", func(p Past) { out = append(out, p) })
	slices.SortFunc(out, func(a, b Past) int {
		return strings.Compare(a.Queue+"/"+a.User, b.Queue+"/"+b.User)
	})
	return out
}

func userAttempt(user string) Attempt {
	return Attempt{Shape: needing(1000, 0), Namespace: "default", Queue: "default", User: user}
}

// TestPastOfUse: half of what is used is past after a half-life, and half of that after another.
func TestPastOfUse(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 4))
	x.SetQueue("default", "default", job.QueuePolicy{HalfLife: job.Duration(time.Second)})
	r := x.Take(1, userAttempt("ann"), 10_000)
	x.Give(r, 11_000)
	quarter := int64(PastUnit / 4)
	want := []Past{
		{Namespace: "default", Amount: pastsOf(x)[0].Amount, At: 11_000},
		{Namespace: "default", Queue: "default", Amount: pastsOf(x)[1].Amount, At: 11_000},
		{Namespace: "default", Queue: "default", User: "ann", Amount: quarter / 2, At: 11_000},
	}
	if diff := gocmp.Diff(want, pastsOf(x)); diff != "" {
		t.Errorf("pasts:\n%s", diff)
	}
	if queue := want[1].Amount; queue <= 0 || queue > quarter/100 { // of an hour that one second is little
		t.Errorf("a queue's past after a second is %d", queue)
	}
	x.Give(x.Take(1, userAttempt("ann"), 12_000), 12_000)
	if p := pastsOf(x)[2]; p.Amount != quarter/4 || p.At != 12_000 {
		t.Errorf("a second later the past is %+v", p)
	}
	r = x.Take(1, userAttempt("ann"), 12_000)
	x.Give(r, 0)
	if p := pastsOf(x)[2]; p.Amount != quarter/4 || p.At != 12_000 {
		t.Errorf("after an end that nobody saw the past is %+v", p)
	}
}

// TestPastsSettle: each change is told once to whoever keeps pasts, unless somebody else does.
func TestPastsSettle(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 4))
	names := func(upTo uint64) (out []string) {
		x.Settle(upTo, func(p Past) { out = append(out, fmt.Sprintf("%s/%s/%s at %d", p.Namespace, p.Queue, p.User, p.At)) })
		return out
	}
	x.Stamp(1)
	x.Take(1, userAttempt("ann"), 5)
	x.Stamp(2)
	x.Take(1, userAttempt("bob"), 6)
	if got := names(1); !slices.Equal(got, []string{"default/default/ann at 5"}) || !x.Touched() {
		t.Errorf("up to the first stamp %q has changed", got)
	}
	if got := names(2); !slices.Equal(got, []string{"default/default/ at 6", "default// at 6", "default/default/bob at 6"}) || x.Touched() {
		t.Errorf("up to the second stamp %q has changed", got)
	}
	x.Remember(Past{Namespace: "default", Queue: "default", User: "eve", Amount: 3, At: 4})
	if got := names(9); got != nil {
		t.Errorf("what is restored counts as changed: %q", got)
	}
}

// TestPastsAreBounded: whoever ran something longest ago is forgotten first, but for those who
// run something, and whoever keeps pasts hears of it.
func TestPastsAreBounded(t *testing.T) {
	x := New()
	x.SetWorker(host(1, MaxPasts))
	x.Take(1, userAttempt("runs"), 1)
	for i := range MaxPasts {
		x.Give(x.Take(1, userAttempt(fmt.Sprint("user", i)), int64(i+2)), int64(i+2))
	}
	x.Settle(0, nil)
	x.Give(x.Take(1, userAttempt("user0"), MaxPasts+2), MaxPasts+2) // is not the oldest any more
	x.Give(x.Take(1, userAttempt("late"), MaxPasts+3), MaxPasts+3)
	var gone []string
	x.Settle(0, func(p Past) {
		if p.At == 0 {
			gone = append(gone, p.User)
		}
	})
	if !slices.Equal(gone, []string{"user1"}) {
		t.Errorf("forgotten is %q", gone)
	}
	if n := len(pastsOf(x)); n != MaxPasts+3 { // with the one that runs, the queue and the namespace
		t.Errorf("%d pasts are known", n)
	}
	if err := x.Check(); err != nil {
		t.Error(err)
	}
}

// TestPastsComeBack: an index that is told what another remembers, and what runs, goes on as
// that one, whoever ran what in which order.
func TestPastsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type run struct {
			a   Attempt
			one *Run
			two *Run
		}
		var runs []run
		var two *Index
		one := New()
		set := func(x *Index) {
			x.SetWorker(host(1, 8))
			x.SetQueue("default", "default", job.QueuePolicy{HalfLife: job.Duration(time.Minute)})
		}
		set(one)
		now := int64(1)
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				r := run{a: userAttempt(rapid.SampledFrom([]string{"ann", "bob", "eve"}).Draw(t, "user"))}
				r.one = one.Take(1, r.a, now)
				if two != nil {
					r.two = two.Take(1, r.a, now)
				}
				runs = append(runs, r)
			},
			"give": func(t *rapid.T) {
				if len(runs) == 0 {
					t.Skip("nothing runs")
				}
				i := rapid.IntRange(0, len(runs)-1).Draw(t, "run")
				one.Give(runs[i].one, now)
				if two != nil {
					two.Give(runs[i].two, now)
				}
				runs = slices.Delete(runs, i, i+1)
			},
			"wait":  func(t *rapid.T) { now += rapid.Int64Range(1, 100_000).Draw(t, "later") },
			"age":   func(*rapid.T) { one.Age(now, 2) },
			"again": func(*rapid.T) { two = nil },
			"restore": func(*rapid.T) {
				two = New()
				set(two)
				one.Pasts("default", two.Remember)
				for i := range runs {
					runs[i].two = two.Take(1, runs[i].a, 0)
				}
			},
			"": func(t *rapid.T) {
				if two == nil {
					return
				}
				if diff := gocmp.Diff(pastsOf(one), pastsOf(two)); diff != "" {
					t.Fatalf("the pasts differ:\n%s", diff)
				}
			},
		})
	})
}

// turns lets two users run tasks that last so long (milliseconds), ann from the beginning and bob
// from a later moment on, who both always have more, and returns what they have used between two
// moments, by user.
func turns(lasts map[string]int64, late, from, until int64, half time.Duration) map[string]int64 {
	x := New()
	w := host(1, turnPlaces)
	w.Prefetch = 0
	x.SetWorker(w)
	x.SetQueue("default", "default", job.QueuePolicy{HalfLife: job.Duration(half), Backfill: job.BackfillAny})
	ready := func(user string, id job.ID) {
		x.SetGroup(Group{ID: GroupID{Job: id}, Namespace: "default", Queue: "default", User: user, Shape: needing(1000, 0)}, 1<<30)
	}
	ready("ann", 1)
	type end struct {
		at   int64
		user string
		run  *Run
	}
	var running []end
	got := map[string]int64{}
	came := false
	for now := int64(1); now < until; {
		if !came && now >= late {
			came = true
			ready("bob", 2)
		}
		x.Age(now, 10)
		for {
			p, ok := x.Next(now)
			if !ok {
				break
			}
			user := map[job.ID]string{1: "ann", 2: "bob"}[p.Group.Job]
			running = append(running, end{now + lasts[user], user, x.Take(1, userAttempt(user), now)})
		}
		slices.SortStableFunc(running, func(a, b end) int { return int(a.at - b.at) })
		first := running[0]
		if now >= from {
			got[first.user] += lasts[first.user]
		}
		now = first.at
		x.Give(first.run, now)
		running = running[1:]
	}
	return got
}

const (
	turnPlaces = 4
	turnHalf   = time.Minute
)

// TestTurnsAreFair: two users get over ten half-lives, however long what they run is, the same
// within what one gets of all places in one half-life, once what was before is forgotten.
func TestTurnsAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		half := turnHalf.Milliseconds()
		lasts := map[string]int64{
			"ann": rapid.Int64Range(500, 20_000).Draw(t, "ann"), "bob": rapid.Int64Range(500, 20_000).Draw(t, "bob"),
		}
		late := rapid.Int64Range(0, 10*half).Draw(t, "late")
		got := turns(lasts, late, late+10*half, late+20*half, turnHalf)
		if most := turnPlaces * half; got["ann"] > got["bob"]+most || got["bob"] > got["ann"]+most {
			t.Fatalf("ann has used %d ms and bob %d, of tasks that last %v", got["ann"], got["bob"], lasts)
		}
	})
}

// TestPastCounts: who had everything for long gets less than one who comes late, for about a
// half-life and no longer.
func TestPastCounts(t *testing.T) {
	lasts := map[string]int64{"ann": 500, "bob": 500}
	half := turnHalf.Milliseconds()
	late := 10 * half
	if got := turns(lasts, late, late, late+half/2, turnHalf); got["bob"] < 2*got["ann"] {
		t.Errorf("in the first half of a half-life ann has used %d ms more, and bob, who had nothing, %d", got["ann"], got["bob"])
	}
	if got := turns(lasts, late, late, late+half/2, time.Second); got["bob"] > got["ann"]*5/4 {
		t.Errorf("where all is forgotten soon, ann has used %d ms more and bob %d", got["ann"], got["bob"])
	}
}

// TestPastOfWhatIsGone: what is used of a resource that no worker has any more counts the same whether a
// worker ever had it, since whoever starts anew has not seen that.
func TestPastOfWhatIsGone(t *testing.T) {
	used := func(had bool) (out Past) {
		x, w := New(), host(1, 4)
		shape := needing(1000, 0)
		shape.Resources.Other = "gpu=1"
		if had {
			w.Capacity.Other = "gpu=2"
			x.SetWorker(w)
			w.Capacity.Other = ""
		}
		x.SetWorker(w)
		r := x.Take(1, Attempt{Shape: shape, Namespace: "default", Queue: "default"}, 1000)
		x.Give(r, 61_000)
		x.Pasts("default", func(p Past) { out = p })
		return out
	}
	if with, without := used(true), used(false); with != without || with.Amount == 0 {
		t.Errorf("used are %+v where a worker once had it, %+v where none had", with, without)
	}
}
