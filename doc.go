// Package reeve is the Go SDK of the job scheduler Reeve: a client that submits jobs
// and follows them, and a worker that runs functions of your program as jobs.
//
// A job is a graph of named tasks; a task runs a script, a program or a function, once
// or as an array of many elements. A worker that handles functions dials out to the
// server and needs neither a port nor a directory:
//
//	client, err := reeve.New(reeve.FromEnv())
//	…
//	w := reeve.NewWorker(client, reeve.WorkerConfig{Concurrency: 16})
//	reeve.Handle(w, "resize", func(ctx context.Context, a *reeve.Attempt, in Picture) (Thumbnail, error) {
//		…
//	})
//	err = w.Run(ctx) // until ctx ends
//
// and any other program makes it work:
//
//	id, err := client.Enqueue(ctx, "resize", Picture{Path: "a.png"})
//
// # At least once
//
// What was accepted is not lost: when a submit has returned, the job is on disk. A
// submit carries an idempotency key, so that one that is repeated, by you or by the
// client on a broken connection, makes one job.
//
// An attempt may run more than once: a worker that loses its connection for longer than
// the task's lost_after (60 seconds by default) loses the attempt, and another begins. The
// context of the first one ends then, with the cause [ErrLeaseLost], but a function
// can't be killed. What it changes elsewhere should therefore be safe to repeat:
// [Attempt.Element] is the same in every attempt and makes a good key, and
// [Attempt.Fence] is a number that is higher for each further attempt, for what can
// refuse orders that are older than what it has seen.
//
// # References
//
// Jobs, tasks, elements and attempts are named by texts: "4217", "4217.transform",
// "4217.transform.3", "4217.transform.3@2". Ids are strings; don't take them apart.
//
// All methods of all types may be called concurrently unless they say otherwise.
package reeve
