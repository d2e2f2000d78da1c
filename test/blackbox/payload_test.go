package blackbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/reeve-scheduler/reeve"
)

// TestPayloadsSurviveTheServer: a server that has been killed gives each job to the worker
// with what it was submitted with, whether its tables had that or only its journal, and so
// does one that is killed while the worker works.
func TestPayloadsSurviveTheServer(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	client, err := reeve.New(reeve.Config{Addr: "http://" + c.listen})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const lot = 150
	given := map[string]string{}
	submit := func(what string) {
		t.Helper()
		payloads := make([]string, lot)
		for i := range payloads {
			payloads[i] = fmt.Sprintf("%s %d %s", what, i, strings.Repeat("x", i))
		}
		jobs, err := client.SubmitMany(within(t), reeve.Function("note", nil), reeve.Items(payloads))
		if err != nil {
			t.Fatal(err)
		}
		for i, j := range jobs {
			given[j.ID] = payloads[i]
		}
	}
	submit("in the tables")
	if code := c.server.stop(t); code != 0 {
		t.Fatalf("the server ended with %d", code)
	}
	c.serve()
	submit("in the journal, perhaps")
	c.server.kill(t)
	c.serve()

	var mu sync.Mutex
	got := map[string][]string{}
	some := make(chan struct{}, 10*lot)
	w := reeve.NewWorker(client, reeve.WorkerConfig{Name: "w1", Concurrency: 4})
	reeve.Handle(w, "note", func(_ context.Context, a *reeve.Attempt, in string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		got[a.Job] = append(got[a.Job], in)
		some <- struct{}{}
		return "", nil
	})
	ctx, cancel := context.WithCancel(within(t))
	over := make(chan error, 1)
	go func() { over <- w.Run(ctx) }()
	for range lot / 2 {
		<-some
	}
	c.server.kill(t)
	c.serve()
	for id := range given {
		if j, err := client.Wait(within(t), id); err != nil || j.State != reeve.Succeeded {
			t.Fatalf("job %s: %+v, %v", id, j, err)
		}
	}
	cancel()
	if err := <-over; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the worker ended with %v", err)
	}
	for id, want := range given {
		if len(got[id]) == 0 || slices.ContainsFunc(got[id], func(p string) bool { return p != want }) {
			t.Errorf("job %s ran with %q, want %q", id, got[id], want)
		}
	}
	if len(got) != len(given) {
		t.Errorf("%d jobs ran, want %d", len(got), len(given))
	}
}
