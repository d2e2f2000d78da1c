package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// How River is tuned: it fetches as many jobs as it has workers free, at most once in a
// cooldown, so that throughput wants very many workers and the shortest cooldown.
const (
	riverWorkers  = 5000
	riverCooldown = time.Millisecond
	riverPoll     = 20 * time.Millisecond
	riverCommand  = "river"
	// ended is what a worker of a peer says when what it was to work off has ended.
	ended = "ended"
)

// RiverSystem is River on PostgreSQL.
func RiverSystem() System {
	return System{
		Name: "River", Durability: figure.Durable, Kind: figure.Peer, Start: (*Site).startRiver,
		Rate: func(slots int) int {
			if slots == 0 {
				return 25_000
			}
			return min(500*slots, 12_000)
		},
	}
}

// riverQueue is River on PostgreSQL.
type riverQueue struct {
	s      *Site
	pg     *postgres
	client *river.Client[pgx.Tx]
	worker *proc.Process
}

func (s *Site) startRiver() (Queue, error) {
	pg, err := s.startPostgres()
	if err != nil {
		return nil, err
	}
	q := &riverQueue{s: s, pg: pg}
	driver := riverpgxv5.New(pg.pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet()})
	if err != nil {
		return q, err
	}
	if _, err := migrator.Migrate(s.Context, rivermigrate.DirectionUp, nil); err != nil {
		return q, err
	}
	if _, err := pg.pool.Exec(s.Context, "CREATE TABLE fanned (id bigint PRIMARY KEY)"); err != nil {
		return q, err
	}
	// The cooldown also bounds how often a client that submits wakes the workers.
	q.client, err = river.NewClient(driver, &river.Config{Logger: quiet(), FetchCooldown: riverCooldown})
	return q, err
}

// quiet is a log of errors alone.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// Fill submits jobs without a payload.
func (q *riverQueue) Fill(n int) error { return q.FillWith(n, 0) }

// Stored is the size of the table of jobs with its indexes.
func (q *riverQueue) Stored() (n int64, err error) {
	err = q.pg.pool.QueryRow(q.s.Context, "SELECT pg_total_relation_size('river_job')").Scan(&n)
	return n, err
}

// FillWith gives every job a payload.
func (q *riverQueue) FillWith(n, bytes int) error {
	return q.fill(n, Batch, Submitters, riverJob{What: Noop, bytes: bytes})
}

func (q *riverQueue) Prepare(w Workload) (err error) {
	slots := w.Slots
	if slots == 0 {
		slots = riverWorkers
	}
	if err := q.pg.settle("river_job"); err != nil {
		return err
	}
	q.worker, err = proc.StartSelf(q.s.Context, q.s.Dir+"/river.log", q.pg.environment, riverCommand, strconv.Itoa(slots), strconv.Itoa(w.Jobs), string(w.Kind))
	return err
}

func (q *riverQueue) Work() error { return q.worker.Tell(proc.GoOn) }

func (q *riverQueue) Drained() error {
	_, err := q.worker.Says(q.s.Context, "^"+ended+"$")
	return err
}

// OneByOne asks for each job's row until it has ended: a client hears of ends only of jobs
// that it worked on itself.
func (q *riverQueue) OneByOne(n int) ([]Latencies, error) {
	start, seen := Latencies{What: Start}, Latencies{What: Seen}
	for i := range n + WarmJobs {
		began := time.Now()
		j, err := q.client.Insert(q.s.Context, riverJob{What: Stamp}, nil)
		if err != nil {
			return nil, err
		}
		if err := proc.Await(q.s.Context, askAgain, func() (bool, error) {
			row, err := q.client.JobGet(q.s.Context, j.Job.ID)
			return err == nil && row.State == rivertype.JobStateCompleted, err
		}); err != nil {
			return nil, err
		}
		took := time.Since(began)
		at, err := startedAt(q.s.Context, q.worker, strconv.FormatInt(j.Job.ID, 10))
		if err != nil {
			return nil, err
		}
		if i >= WarmJobs {
			start.Took, seen.Took = append(start.Took, at.Sub(began)), append(seen.Took, took)
		}
	}
	return []Latencies{start, seen}, nil
}

// askAgain is how long a client waits that can only ask whether a job has ended.
const askAgain = 200 * time.Microsecond

// startedAt waits until a worker has said when a job started.
func startedAt(ctx context.Context, worker *proc.Process, id string) (time.Time, error) {
	text, err := worker.Says(ctx, "^start "+id+` (\d+)$`)
	if err != nil {
		return time.Time{}, err
	}
	at, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(0, at), err
}

// Graph begins with its first job; the worker says when the last has ended.
func (q *riverQueue) Graph(k Kind, n int) error {
	if _, err := q.client.Insert(q.s.Context, riverJob{What: k, Steps: n}, nil); err != nil {
		return err
	}
	return q.Drained()
}

func (q *riverQueue) Parts() []proc.Part {
	all := []proc.Part{proc.Itself(), q.pg.part()}
	if q.worker != nil {
		all = append(all, proc.Part{Role: proc.Worker, PID: q.worker.PID()})
	}
	return all
}

func (q *riverQueue) Syncs(last bool) (int64, error) {
	if last && q.worker != nil {
		if err := q.worker.Stop(); err != nil {
			return 0, err
		}
		q.worker = nil
	}
	return q.pg.syncs(last)
}

func (q *riverQueue) Close() error { return errors.Join(q.worker.Stop(), q.pg.close()) }

// riverJob is the one kind of job there is.
type riverJob struct {
	What Kind `json:"what,omitempty"`
	// Step is this one's number, of Steps.
	Step, Steps int    `json:",omitempty"`
	Payload     string `json:"payload,omitempty"`
	// Due is when it was to be submitted, in microseconds.
	Due int64 `json:"due,omitempty"`

	bytes int // of the payload that it is to be submitted with
}

func (riverJob) Kind() string { return "bench" }

// riverWorker runs jobs as River's own worker.
type riverWorker struct {
	river.WorkerDefaults[riverJob]

	pool *pgxpool.Pool
	late lateJobs
}

func (w *riverWorker) Work(ctx context.Context, j *river.Job[riverJob]) error {
	switch j.Args.What {
	case Chain:
		return w.step(ctx, j)
	case Fan:
		return w.fan(ctx, j)
	case Stamp:
		at := time.Now()
		err := w.complete(ctx, j, nil)
		fmt.Printf("start %d %d\n", j.ID, at.UnixNano())
		return err
	case Late:
		w.late.note(j.Args.Due)
	}
	return nil
}

// step adds the next of a chain.
func (w *riverWorker) step(ctx context.Context, j *river.Job[riverJob]) error {
	if j.Args.Step+1 == j.Args.Steps {
		return w.complete(ctx, j, nil)
	}
	return w.complete(ctx, j, func(tx pgx.Tx, c *river.Client[pgx.Tx]) error {
		_, err := c.InsertTx(ctx, tx, riverJob{What: Chain, Step: j.Args.Step + 1, Steps: j.Args.Steps}, nil)
		return err
	})
}

// fan is one job of 1 → Steps → 1. Each of many records itself; whoever finds that all have adds
// the last, which only one can.
func (w *riverWorker) fan(ctx context.Context, j *river.Job[riverJob]) error {
	steps := j.Args.Steps
	switch j.Args.Step {
	case 0:
		return w.complete(ctx, j, func(tx pgx.Tx, c *river.Client[pgx.Tx]) error {
			jobs := make([]river.InsertManyParams, steps)
			for i := range jobs {
				jobs[i].Args = riverJob{What: Fan, Step: i + 1, Steps: steps}
			}
			_, err := c.InsertManyFastTx(ctx, tx, jobs)
			return err
		})
	case steps + 1:
		return w.complete(ctx, j, nil)
	}
	if _, err := w.pool.Exec(ctx, "INSERT INTO fanned VALUES ($1) ON CONFLICT DO NOTHING", j.Args.Step); err != nil {
		return err
	}
	var n int
	if err := w.pool.QueryRow(ctx, "SELECT count(*) FROM fanned").Scan(&n); err != nil || n < steps {
		return err
	}
	_, err := river.ClientFromContext[pgx.Tx](ctx).Insert(ctx, riverJob{What: Fan, Step: steps + 1, Steps: steps},
		&river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}})
	return err
}

// complete ends a job in a transaction in which f inserts what follows: nothing of a graph is lost
// that way, and it is at once on disk and to be seen, where completions by River itself wait
// up to 250 ms for more of them.
func (w *riverWorker) complete(ctx context.Context, j *river.Job[riverJob], f func(pgx.Tx, *river.Client[pgx.Tx]) error) error {
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if f != nil {
			if err := f(tx, river.ClientFromContext[pgx.Tx](ctx)); err != nil {
				return err
			}
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, j)
		return err
	})
	if err == nil && j.Args.isLast() {
		fmt.Println(ended)
	}
	return err
}

// isLast reports whether a graph has ended with a job.
func (j riverJob) isLast() bool {
	return j.What == Chain && j.Step+1 == j.Steps || j.What == Fan && j.Step == j.Steps+1
}

// riverProgram is the worker: bench river SLOTS JOBS KIND, with the database in its
// environment. It says when so many jobs, or a graph, have ended, on disk.
func riverProgram(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want SLOTS JOBS KIND, got %q", args)
	}
	slots, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	jobs, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	c, err := pgxpool.ParseConfig("")
	if err != nil {
		return err
	}
	c.MaxConns = postgresConnections
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return err
	}
	defer pool.Close()
	what, retention := Kind(args[2]), time.Duration(0) // as it comes
	if what == Late {
		retention = riverRetention
	}
	w := &riverWorker{pool: pool}
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: slots}}, Workers: workers,
		FetchCooldown: riverCooldown, FetchPollInterval: riverPoll, JobTimeout: -1, Logger: quiet(),
		CompletedJobRetentionPeriod: retention,
	})
	if err != nil {
		return err
	}
	ends, cancel := client.SubscribeConfig(&river.SubscribeConfig{ChanSize: jobs + Batch, Kinds: []river.EventKind{river.EventKindJobCompleted}})
	defer cancel()
	if err := errors.Join(pool.Ping(ctx), proc.AwaitGo(os.Stdin)); err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	w.sayEnded(ctx, what, ends, jobs)
	<-ctx.Done()
	<-client.Stopped()
	return nil
}

// sayEnded says when so many jobs have ended; a graph says it itself.
func (w *riverWorker) sayEnded(ctx context.Context, what Kind, ends <-chan *river.Event, jobs int) {
	if what != Noop && what != Late {
		return
	}
	for ; jobs > 0; jobs-- {
		select {
		case <-ends:
		case <-ctx.Done():
			return
		}
	}
	if what == Late {
		w.late.say()
	}
	fmt.Println(ended)
}
