package reeve_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve"
)

type Picture struct {
	Path string
	Size int
}

type Thumbnail struct{ Path string }

// background runs a worker until the function that it returns is called.
func background(w *reeve.Worker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-over; err != nil {
			fmt.Println(err)
		}
	}
}

// A program that handles a function, and one that has it called. Here they are the same.
func Example() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	w := reeve.NewWorker(client, reeve.WorkerConfig{Concurrency: 4})
	reeve.Handle(w, "resize", func(_ context.Context, a *reeve.Attempt, in Picture) (Thumbnail, error) {
		a.Logger().Info("resizing", "path", in.Path)
		return Thumbnail{Path: fmt.Sprintf("%s-%d.png", strings.TrimSuffix(in.Path, ".png"), in.Size)}, nil
	})
	stop := background(w)
	defer stop()

	id, err := client.Enqueue(ctx, "resize", Picture{Path: "cat.png", Size: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	job, err := client.Wait(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	var out Thumbnail
	if err := job.Result(&out); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(job.State, out.Path)
	// Output: succeeded cat-64.png
}

// A worker that stops when the system asks it to: it takes nothing new, lets what runs
// finish, and reports it.
func ExampleWorker_Run() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	w := reeve.NewWorker(client, reeve.WorkerConfig{
		Concurrency: 16, StopWait: time.Minute, Labels: map[string]string{"disk": "ssd"},
	})
	w.Handle("stop-me", func(context.Context, *reeve.Attempt) error {
		stop() // as a signal would
		return nil
	})
	if _, err := client.Enqueue(ctx, "stop-me", nil); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.Run(ctx))
	// Output: <nil>
}

// A worker with two devices: each attempt gets one that no other has at the same time.
func ExampleWorkerConfig_devices() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	w := reeve.NewWorker(client, reeve.WorkerConfig{
		Devices: map[string][]string{"gpu": {"0", "1"}}, Other: map[string]int64{"licence": 3},
	})
	w.Handle("train", func(_ context.Context, a *reeve.Attempt) error {
		a.SetOutput("gpu", a.Env("REEVE_GPUS"))
		return nil
	})
	stop := background(w)
	defer stop()

	id, err := client.Submit(ctx, reeve.Job{Tasks: []reeve.Task{{
		Function:  "train",
		Resources: reeve.Resources{CPU: 0.5, GPU: 1, Other: map[string]int64{"licence": 1}},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	job, err := client.Wait(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(job.State, "on", job.Tasks[0].Outputs["gpu"])
	// Output: succeeded on 0
}

// What an attempt knows of itself, and what it can leave.
func ExampleWorker_Handle() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	w := reeve.NewWorker(client, reeve.WorkerConfig{})
	w.Handle("report", func(ctx context.Context, a *reeve.Attempt) error {
		fmt.Fprintln(a.Log, "attempt", a.Number, "in", a.Env("REGION"))
		if a.Number == 1 {
			return errors.New("try me again")
		}
		a.SetOutput("rows", "17")
		return a.SaveArtifact(ctx, "report.txt", strings.NewReader("17 rows\n"))
	})
	stop := background(w)
	defer stop()

	job := reeve.Function("report", nil)
	job.Env = map[string]string{"REGION": "north"}
	job.Tasks[0].Retry = reeve.Retry{MaxAttempts: 3, Delay: time.Millisecond}
	id, err := client.Submit(ctx, job)
	if err != nil {
		fmt.Println(err)
		return
	}
	done, err := client.Wait(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(done.Tasks[0].Outputs["rows"], "rows after", done.Tasks[0].Element.Attempts, "attempts")
	if err := client.ReadArtifact(ctx, id, "report.txt", os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 17 rows after 2 attempts
	// 17 rows
}

// An error that trying again can't help ends the retries.
func ExamplePermanent() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	w := reeve.NewWorker(client, reeve.WorkerConfig{})
	w.Handle("charge", func(context.Context, *reeve.Attempt) error {
		return reeve.Permanent(errors.New("the card has expired"))
	})
	stop := background(w)
	defer stop()

	id, err := client.Enqueue(ctx, "charge", nil, reeve.WithRetry(reeve.Retry{MaxAttempts: 10}))
	if err != nil {
		fmt.Println(err)
		return
	}
	job, err := client.Wait(ctx, id)
	if failed, ok := errors.AsType[*reeve.JobError](err); ok {
		fmt.Println(failed.Job.State, "after", job.Tasks[0].Element.Attempts, "attempt:", job.Tasks[0].Cause)
	}
	// Output: failed after 1 attempt: error: the card has expired
}

// A graph: two tasks side by side, one that takes what they returned, and one that runs
// only if something went wrong.
func ExampleClient_Submit() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	w := reeve.NewWorker(client, reeve.WorkerConfig{})
	reeve.Handle(w, "count", func(_ context.Context, _ *reeve.Attempt, words []string) (int, error) {
		return len(words), nil
	})
	w.Handle("add", func(_ context.Context, a *reeve.Attempt) error {
		a.SetOutput("sum", a.Env("LEFT")+" + "+a.Env("RIGHT"))
		return nil
	})
	stop := background(w)
	defer stop()

	id, err := client.Submit(ctx, reeve.Job{
		Name:   "words",
		Labels: map[string]string{"team": "search"},
		Tasks: []reeve.Task{
			{Name: "left", Function: "count", Input: []string{"a", "b"}},
			{Name: "right", Function: "count", Input: []string{"c"}},
			{
				Name: "sum", Function: "add", Needs: reeve.Needs("left", "right"),
				Env: map[string]string{
					"LEFT":  "${{ tasks.left.outputs.result }}",
					"RIGHT": "${{ tasks.right.outputs.result }}",
				},
				Timeout: time.Minute,
			},
			{Name: "alarm", Run: "echo it went wrong", Needs: []reeve.Need{{Task: "sum", On: reeve.OnFailed}}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	job, err := client.Wait(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(job.Task("sum").Outputs["sum"], job.Task("alarm").State)
	// Output: 2 + 1 skipped
}

// An array: one task, many elements, at most two of them at a time.
func ExampleArray() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	w := reeve.NewWorker(client, reeve.WorkerConfig{Concurrency: 4})
	reeve.Handle(w, "upper", func(_ context.Context, _ *reeve.Attempt, item string) (string, error) {
		return strings.ToUpper(item), nil
	})
	stop := background(w)
	defer stop()

	id, err := client.Submit(ctx, reeve.Job{Tasks: []reeve.Task{{
		Name: "shout", Function: "upper", Array: &reeve.Array{Items: []string{"a", "b", "c"}, Throttle: 2},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.Wait(ctx, id); err != nil {
		fmt.Println(err)
		return
	}
	for out, err := range client.Outputs(ctx, id, "shout") {
		if err != nil {
			fmt.Println(err)
			return
		}
		var text string
		if err := out.Result(&text); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(out.Index, text)
	}
	// Output:
	// 0 A
	// 1 B
	// 2 C
}

// Many jobs at once. Keys make the whole call safe to repeat.
func ExampleClient_SubmitMany() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	orders := []string{"17", "18", "19"}
	var items []reeve.Item
	for _, order := range orders {
		items = append(items, reeve.Item{Key: "invoice-" + order, Payload: order})
	}
	made, err := client.SubmitMany(ctx, reeve.Function("invoice", nil), slices.Values(items))
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := client.SubmitMany(ctx, reeve.Function("invoice", nil), slices.Values(items))
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range again {
		fmt.Println(again[i].Existed, again[i].ID == made[i].ID)
	}
	// Output:
	// true true
	// true true
	// true true
}

// A handler is told to stop through its context, and why.
func ExampleClient_Cancel() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	started := make(chan bool)
	w := reeve.NewWorker(client, reeve.WorkerConfig{})
	w.Handle("long", func(ctx context.Context, _ *reeve.Attempt) error {
		started <- true
		<-ctx.Done()
		switch why := context.Cause(ctx); {
		case errors.Is(why, reeve.ErrCancelled):
			fmt.Println("somebody cancelled it")
		case errors.Is(why, reeve.ErrLeaseLost):
			fmt.Println("another attempt may be running elsewhere")
		}
		return ctx.Err()
	})
	stop := background(w)
	defer stop()

	id, err := client.Enqueue(ctx, "long", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	<-started
	if _, err := client.Cancel(ctx, id, "not needed any more"); err != nil {
		fmt.Println(err)
		return
	}
	job, _ := client.Wait(ctx, id)
	fmt.Println(job.State)
	// Output:
	// somebody cancelled it
	// cancelled
}

// Everything that happens to a job. A watch that was interrupted goes on where it was.
func ExampleClient_Watch() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	id, err := client.Enqueue(ctx, "watched", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for event, err := range client.Watch(ctx, reeve.WatchOptions{Jobs: []string{id}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		switch event.Kind {
		case reeve.EventOpened: // from here on nothing is missed
			if _, err := client.Cancel(ctx, id, ""); err != nil {
				fmt.Println(err)
				return
			}
		case reeve.EventJobEnded:
			fmt.Println(event.Kind, event.State)
			return
		}
	}
	// Output: job_ended cancelled
}

// The log of a job, while it is written.
func ExampleClient_Logs() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	w := reeve.NewWorker(client, reeve.WorkerConfig{})
	w.Handle("talk", func(_ context.Context, a *reeve.Attempt) error {
		fmt.Fprintln(a.Log, "one")
		fmt.Fprintln(a.Log, "two")
		return nil
	})
	stop := background(w)
	defer stop()

	id, err := client.Enqueue(ctx, "talk", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for piece, err := range client.Logs(ctx, id, reeve.LogOptions{Follow: true}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s", piece.Data)
	}
	// Output:
	// one
	// two
}

// Why a job does not start.
func ExampleClient_Explain() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	id, err := client.Enqueue(ctx, "backup", nil, reeve.WithJob(func(j *reeve.Job) {
		j.Name = "nightly"
		j.StartAfter = reeve.In(24 * time.Hour)
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	why, err := client.Explain(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, reason := range why.Tasks[0].Reasons {
		fmt.Println(reason.Kind)
	}
	// Output: start_after
}

// The two newest jobs of a team that have not ended.
func ExampleClient_List() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	for _, name := range []string{"first", "second"} {
		if _, err := client.Enqueue(ctx, "listed", nil, reeve.WithJob(func(j *reeve.Job) {
			j.Name, j.Labels = name, map[string]string{"team": "lists"}
		})); err != nil {
			fmt.Println(err)
			return
		}
	}
	n := 0
	for job, err := range client.List(ctx, reeve.Filter{
		Labels: map[string]string{"team": "lists"}, States: []reeve.State{reeve.Pending, reeve.Running},
	}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(job.Name)
		if n++; n == 2 {
			break
		}
	}
	// Output:
	// second
	// first
}

// What to do about an error.
func ExampleError() {
	ctx := context.Background()
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	_, err = client.Get(ctx, "987654321")
	switch {
	case errors.Is(err, reeve.ErrNotFound):
		fmt.Println("it is gone:", err)
	case errors.Is(err, reeve.ErrUnavailable), errors.Is(err, reeve.ErrBusy):
		fmt.Println("try again later:", err)
	}
	// Output: it is gone: job 987654321 does not exist, or is past its retention
}

// A Job is what a job file says: this prints one that reeve submit takes too.
func ExampleJob() {
	text, err := json.Marshal(reeve.Job{Name: "hello", Tasks: []reeve.Task{{Run: "echo hello"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(text))
	// Output: {"name":"hello","tasks":[{"name":"main","run":"echo hello"}]}
}
