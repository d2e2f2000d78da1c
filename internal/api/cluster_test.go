package api

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// raised is a rig whose cluster has the newest format.
func raised(t *testing.T) (*rig, *clients) {
	t.Helper()
	r := newRig(t)
	if _, err := r.leader.Do(t.Context(), core.RaiseFormat{To: record.Newest}); err != nil {
		t.Fatal(err)
	}
	return r, r.as(r.admin)
}

// TestPolicies changes queues and namespaces part by part, and reads them again after a
// restart.
func TestPolicies(t *testing.T) {
	r, c := raised(t)
	made := do(t, c.queues.Create, &reevev1.QueueServiceCreateRequest{Name: "night", Policy: &reevev1.QueuePolicy{Order: new("fair"), Weight: new(int64(3))}}).GetQueue()
	if made.GetName() != "night" || made.GetPolicy().GetOrder() != "fair" || made.GetPolicy().GetWeight() != 3 || made.GetCreatedAt() == nil {
		t.Errorf("made %v", made)
	}
	change := &reevev1.QueuePolicy{
		Limit: &reevev1.Limit{Running: 10, Resources: map[string]string{"gpu": "2"}}, Rate: &reevev1.Rate{Count: 10, Per: "1s"}, Ageing: new("10m"),
	}
	do(t, c.queues.Update, &reevev1.QueueServiceUpdateRequest{Name: "night", Policy: change})
	do(t, c.queues.Pause, &reevev1.QueueServicePauseRequest{Name: "night"})
	do(t, c.queues.Update, &reevev1.QueueServiceUpdateRequest{Name: "night", Policy: &reevev1.QueuePolicy{Ageing: new("0s"), Rate: &reevev1.Rate{}}})
	do(t, c.namespaces.Create, &reevev1.NamespaceServiceCreateRequest{Name: "team", Policy: &reevev1.NamespacePolicy{Pending: new(int64(5))}})
	team := do(t, c.namespaces.Update, &reevev1.NamespaceServiceUpdateRequest{Name: "team", Policy: &reevev1.NamespacePolicy{Limit: &reevev1.Limit{Running: 1}}}).GetNamespace()
	if team.GetPolicy().GetPending() != 5 || team.GetPolicy().GetLimit().GetRunning() != 1 {
		t.Errorf("changed to %v", team)
	}
	r.restart()
	queues := do(t, c.queues.List, &reevev1.QueueServiceListRequest{}).GetQueues()
	if len(queues) != 2 || queues[0].GetPolicy().GetOrder() != "priority" || queues[0].GetPolicy().GetLimit() != nil {
		t.Fatalf("the queues are %v", queues)
	}
	p := queues[1].GetPolicy()
	if !queues[1].GetPaused() || p.GetOrder() != "fair" || p.Ageing != nil || p.GetRate() != nil || p.GetLimit().GetResources()["gpu"] != "2" || p.GetWeight() != 3 {
		t.Errorf("the queue is %v", queues[1])
	}
	if spaces := do(t, c.namespaces.List, &reevev1.NamespaceServiceListRequest{}).GetNamespaces(); len(spaces) != 2 || spaces[1].GetPolicy().GetPending() != 5 {
		t.Errorf("the namespaces are %v", spaces)
	}
}

func TestPoliciesAreRefused(t *testing.T) {
	_, c := raised(t)
	update := func(name string, p *reevev1.QueuePolicy) error {
		_, err := c.queues.Update(t.Context(), connect.NewRequest(&reevev1.QueueServiceUpdateRequest{Name: name, Policy: p}))
		return err
	}
	namespace := func(name string, p *reevev1.NamespacePolicy) error {
		_, err := c.namespaces.Update(t.Context(), connect.NewRequest(&reevev1.NamespaceServiceUpdateRequest{Name: name, Policy: p}))
		return err
	}
	for _, test := range []struct {
		err  error
		code connect.Code
		says string
	}{
		{update("default", &reevev1.QueuePolicy{Order: new("best")}), connect.CodeInvalidArgument, `queue default: order "best": want one of priority, fifo, shortest, deadline, fair`},
		{update("default", &reevev1.QueuePolicy{Weight: new(int64(20_000))}), connect.CodeInvalidArgument, "queue default: weight 20000: want 1 to 10000"},
		{update("default", &reevev1.QueuePolicy{Limit: &reevev1.Limit{Resources: map[string]string{"gpu": "some"}}}), connect.CodeInvalidArgument, `gpu "some"`},
		{update("night", &reevev1.QueuePolicy{Order: new("fair")}), connect.CodeNotFound, `queue "night" does not exist in namespace default; known: default`},
		{namespace("default", &reevev1.NamespacePolicy{HalfLife: new("1ms")}), connect.CodeInvalidArgument, "namespace default: half-life 1ms"},
		{namespace("default", &reevev1.NamespacePolicy{HalfLife: new("1")}), connect.CodeInvalidArgument, `namespace default: half_life: duration "1"`},
		{namespace("team", &reevev1.NamespacePolicy{}), connect.CodeNotFound, `namespace "team" does not exist`},
	} {
		if connect.CodeOf(test.err) != test.code || !strings.Contains(test.err.Error(), test.says) {
			t.Errorf("%v; want %s that says %q", test.err, test.code, test.says)
		}
	}
}

// TestPools over-commits a pool: its worker is given more at once, also after a restart, and a
// forecast counts with that.
func TestPools(t *testing.T) {
	r, c := raised(t)
	r.join(c, "w1", 2)
	update := func(name string, known bool, factors map[string]string) (*reevev1.Pool, error) {
		res, err := c.pools.Update(t.Context(), connect.NewRequest(&reevev1.PoolServiceUpdateRequest{
			Name: name, Known: known, Policy: &reevev1.PoolPolicy{Overcommit: &reevev1.Overcommit{Factors: factors}},
		}))
		if err != nil {
			return nil, err
		}
		return res.Msg.GetPool(), nil
	}
	for _, test := range []struct {
		name    string
		known   bool
		factors map[string]string
		code    connect.Code
		says    string
	}{
		{"default", false, map[string]string{"cpu": "1000"}, connect.CodeInvalidArgument, "pool default: overcommit: cpu=1000: want a number from 0.1 to 100"},
		{"default", false, map[string]string{"gpu": "2"}, connect.CodeInvalidArgument, "pool default: overcommit: gpu=2: each of these devices is one attempt's alone"},
		{"No", false, nil, connect.CodeInvalidArgument, `pool: name "No"`},
		{"night", true, nil, connect.CodeNotFound, `pool "night" has no worker and no setting; known: default`},
	} {
		if _, err := update(test.name, test.known, test.factors); connect.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v; want %s that says %q", err, test.code, test.says)
		}
	}
	r.submit(c, "array: 0-3\nrun: x\nresources: {cpu: 1.5}\n")
	count := func() (p *reevev1.Pool) {
		all := do(t, c.pools.List, &reevev1.PoolServiceListRequest{}).GetPools()
		if len(all) != 1 || all[0].GetName() != "default" || all[0].GetHas().GetCpuMilli() != 2000 || all[0].GetWorkers() != 1 {
			t.Fatalf("the pools are %v", all)
		}
		return all[0]
	}
	if p := count(); p.GetOffers().GetCpuMilli() != 2000 || p.GetPolicy().GetOvercommit() != nil {
		t.Errorf("a plain pool is %v", p)
	}
	made, err := update("default", false, map[string]string{"cpu": "1.5", "memory": "1"})
	if err != nil || made.GetOffers().GetCpuMilli() != 3000 || made.GetPolicy().GetOvercommit().GetFactors()["cpu"] != "1.5" || len(made.GetPolicy().GetOvercommit().GetFactors()) != 1 {
		t.Errorf("%v, %v", made, err)
	}
	w := do(t, c.workers.List, &reevev1.WorkerServiceListRequest{}).GetWorkers()[0]
	if w.GetCpuMilli() != 2000 || w.GetCpuMilliOffered() != 3000 || w.GetOvercommit()["cpu"] != "1.5" {
		t.Errorf("the worker is %v", w)
	}
	for cpu, want := range map[string]string{"3": "waits", "4": "never"} {
		plan := do(t, c.jobs.Plan, &reevev1.PlanRequest{Submit: &reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "run: x\nresources: {cpu: " + cpu + "}\n"}}})
		if plan.GetVerdict() != want {
			t.Errorf("a job of %s cpu on 3 is planned as %v; want %s", cpu, plan, want)
		}
	}
	r.restart()
	if p := count(); p.GetPolicy().GetOvercommit().GetFactors()["cpu"] != "1.5" {
		t.Errorf("after a restart the pool is %v", p)
	}
	if _, err := update("default", true, nil); err != nil {
		t.Error(err)
	}
	if p := count(); p.GetPolicy().GetOvercommit() != nil {
		t.Errorf("after its reset the pool is %v", p)
	}
}

// TestReservations reserves a worker for a queue: nothing else starts there, which is said and planned,
// also after a restart.
func TestReservations(t *testing.T) {
	r, c := raised(t)
	r.join(c, "w1", 2)
	do(t, c.queues.Create, &reevev1.QueueServiceCreateRequest{Namespace: "default", Name: "night"})
	set := func(m *reevev1.Reservation) (*reevev1.Reservation, error) {
		res, err := c.reservations.Set(t.Context(), connect.NewRequest(&reevev1.ReservationServiceSetRequest{Reservation: m}))
		if err != nil {
			return nil, err
		}
		return res.Msg.GetReservation(), nil
	}
	until := wire.Time(time.Now().Add(time.Hour).UnixMilli())
	for _, test := range []struct {
		m    *reevev1.Reservation
		code connect.Code
		says string
	}{
		{&reevev1.Reservation{Name: "big"}, connect.CodeInvalidArgument, "reservation big: until: say when it is over"},
		{&reevev1.Reservation{Name: "big", Until: until}, connect.CodeInvalidArgument, "say which workers"},
		{&reevev1.Reservation{Name: "big", Until: until, Workers: []string{"w9"}}, connect.CodeNotFound, `worker "w9" does not exist`},
		{&reevev1.Reservation{Name: "big", Until: until, Pool: "default", Queue: "gpu"}, connect.CodeNotFound, `queue "gpu" does not exist`},
	} {
		if _, err := set(test.m); connect.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v; want %s that says %q", err, test.code, test.says)
		}
	}
	made, err := set(&reevev1.Reservation{Name: "big", Workers: []string{"w1"}, Until: until, Queue: "night"})
	if err != nil || len(made.GetReserves()) != 1 || made.GetNamespace() != "default" || made.GetLead() != "1h" {
		t.Fatalf("%v, %v", made, err)
	}
	id := r.submit(c, "run: x\n")
	says := func(part string) {
		t.Helper()
		if why := do(t, c.jobs.Explain, &reevev1.ExplainRequest{Ref: id}); !strings.Contains(why.String(), part) {
			t.Errorf("it waits for %v; want %s", why, part)
		}
	}
	says("the only fitting worker is reserved by big until")
	for queue, want := range map[string]string{"night": "starts", "default": "waits"} {
		plan := do(t, c.jobs.Plan, &reevev1.PlanRequest{Submit: &reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "run: x\nqueue: " + queue + "\n"}}})
		if plan.GetVerdict() != want {
			t.Errorf("a job of queue %s is planned as %v; want %s", queue, plan, want)
		}
	}
	r.restart()
	if all := do(t, c.reservations.List, &reevev1.ReservationServiceListRequest{}).GetReservations(); len(all) != 1 || all[0].GetName() != "big" || !all[0].GetUntil().AsTime().Equal(until.AsTime()) {
		t.Errorf("after a restart the reservations are %v", all)
	}
	do(t, c.reservations.Remove, &reevev1.ReservationServiceRemoveRequest{Name: "big"})
	if _, err := c.reservations.Remove(t.Context(), connect.NewRequest(&reevev1.ReservationServiceRemoveRequest{Name: "big"})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("removed twice: %v", err)
	}
}

// TestOwnQuota: who administers one namespace does not say what it may have.
func TestOwnQuota(t *testing.T) {
	r, _ := raised(t)
	own := r.as(r.token("own", 0, "admin", "default"))
	do(t, own.namespaces.Pause, &reevev1.NamespaceServicePauseRequest{Name: "default"})
	do(t, own.namespaces.Resume, &reevev1.NamespaceServiceResumeRequest{Name: "default"})
	do(t, own.queues.Update, &reevev1.QueueServiceUpdateRequest{Name: "default", Policy: &reevev1.QueuePolicy{Order: new("fifo")}})
	_, err := own.namespaces.Update(t.Context(), connect.NewRequest(&reevev1.NamespaceServiceUpdateRequest{Name: "default", Policy: &reevev1.NamespacePolicy{Weight: new(int64(9))}}))
	if connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("it gives itself a weight: %v", err)
	}
}

// TestKeys lists concurrency keys page by page, with who holds them, and takes a slot away.
func TestKeys(t *testing.T) {
	r, c := raised(t)
	worker := r.join(c, "w1", 3)
	ids := make([]string, 4)
	for i := range ids {
		ids[i] = r.submit(c, "concurrency: deploy\nrun: x\n")
	}
	r.submit(c, "tasks: {a: {array: 0-4, run: x, concurrency: {key: deploy, limit: 2}}}\n")
	r.submit(c, "concurrency: {key: api, rate: 1/h}\nrun: x\n")
	for range 3 { // as much as it takes
		worker.take()
	}
	var got []string
	q := &reevev1.LimitServiceListRequest{PageSize: 1}
	for {
		page := do(t, c.limits.List, q)
		for _, k := range page.GetKeys() {
			got = append(got, fmt.Sprintf("%s of %s: %d/%d, %d wait, %d jobs", k.GetKey(), k.GetOf(), k.GetHeld(), k.GetLimit(), k.GetWaiting(), k.GetJobs()))
		}
		if q.PageToken = page.GetNextPageToken(); q.PageToken == "" {
			break
		}
	}
	want := []string{"api of jobs: 0/0, 1 wait, 1 jobs", "deploy of jobs: 1/1, 3 wait, 4 jobs", "deploy of attempts: 2/2, 1 wait, 1 jobs"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the keys (-want +got):\n%s", diff)
	}
	both := do(t, c.limits.List, &reevev1.LimitServiceListRequest{Key: "deploy"}).GetKeys()
	if len(both) != 2 || both[0].GetHolders()[0].GetRef() != ids[0] || both[0].GetWaiters()[0].GetRef() != ids[1]+".main" || both[0].GetHolders()[0].GetSince() == nil ||
		len(both[1].GetHolders()) != 2 {
		t.Fatalf("the key's users are %v", both)
	}
	release := func(key, holder string) error {
		_, err := c.limits.Release(t.Context(), connect.NewRequest(&reevev1.LimitServiceReleaseRequest{Key: key, Holder: holder}))
		return err
	}
	for _, test := range []struct {
		key, holder string
		code        connect.Code
		says        string
	}{
		{"deploy", "everybody", connect.CodeInvalidArgument, "holder: "},
		{"deploy", ids[1], connect.CodeNotFound, `holds no slot of concurrency key "deploy"; held by ` + ids[0]},
		{"none", ids[0], connect.CodeNotFound, `no unfinished job of namespace default names concurrency key "none"`},
	} {
		if err := release(test.key, test.holder); connect.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v; want %s that says %q", err, test.code, test.says)
		}
	}
	for _, holder := range []string{ids[0], both[1].GetHolders()[0].GetRef()} {
		if err := release("deploy", holder); err != nil {
			t.Errorf("release of %s: %v", holder, err)
		}
	}
	if k := do(t, c.limits.List, &reevev1.LimitServiceListRequest{Key: "deploy"}).GetKeys()[1]; k.GetHeld() > 2 || len(k.GetHolders()) == 0 || k.GetHolders()[0].GetRef() == both[1].GetHolders()[0].GetRef() {
		t.Errorf("after it was released, the key is %v", k)
	}
	if _, err := c.limits.List(t.Context(), connect.NewRequest(&reevev1.LimitServiceListRequest{PageToken: "?"})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a page token of nobody: %v", err)
	}
}

// TestTooMuchWaits: a submit beyond what may wait is refused with when to come back.
func TestTooMuchWaits(t *testing.T) {
	r, c := raised(t)
	do(t, c.namespaces.Update, &reevev1.NamespaceServiceUpdateRequest{Name: "default", Policy: &reevev1.NamespacePolicy{Pending: new(int64(2))}})
	r.submit(c, "run: x\n")
	_, err := c.jobs.Submit(t.Context(), connect.NewRequest(file("array: 0-1\nrun: x\n")))
	refused, ok := errors.AsType[*connect.Error](err)
	if !ok || refused.Code() != connect.CodeResourceExhausted || refused.Meta().Get("Retry-After") != "5" ||
		!strings.Contains(refused.Message(), "namespace default has 1 element waiting, of at most 2: there is no room for 2 more") {
		t.Errorf("%v, after %q", err, refused.Meta().Get("Retry-After"))
	}
	if _, err := c.jobs.Submit(t.Context(), connect.NewRequest(file("array: 0-2\nrun: x\n"))); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a submit that never fits: %v", err)
	}
	_, err = c.jobs.Submit(t.Context(), connect.NewRequest(file("concurrency: {key: bill, conflict: refuse}\nrun: x\n")))
	if err != nil {
		t.Fatal(err)
	}
}
