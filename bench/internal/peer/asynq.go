package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// How Asynq is tuned: a server takes one job at a time from Redis, so that several of them share
// the worker's process; there is no call that submits many, so that many submit at a time.
const (
	asynqServers    = 4
	asynqSlots      = 200
	asynqSubmitters = 100
	// Idle servers look for jobs this often: as often as it goes where latency counts.
	asynqLook, asynqLookAtOnce = 20 * time.Millisecond, time.Millisecond
	asynqCommand               = "asynq"
)

// asynqSystem is Asynq with one of Redis' two ways to keep what it was told.
func asynqSystem(fsync, durability string) System {
	return System{
		Name: "Asynq, " + fsync, Durability: durability, Kind: figure.Peer,
		Start: func(s *Site) (Queue, error) { return s.startAsynq(fsync) },
		Rate: func(int) int {
			if fsync == "always" {
				return 2000
			}
			return 15_000
		},
	}
}

// asynqQueue is Asynq on a Redis of its own.
type asynqQueue struct {
	s      *Site
	dir    string
	redis  *proc.Process
	at     asynq.RedisClientOpt
	direct *redis.Client
	client *asynq.Client
	worker *proc.Process
}

func (s *Site) startAsynq(fsync string) (Queue, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is not installed")
	}
	dir, err := os.MkdirTemp(s.Dir, "redis-")
	if err != nil {
		return nil, err
	}
	socket := dir + "/redis.sock"
	q := &asynqQueue{s: s, dir: dir, at: asynq.RedisClientOpt{Network: "unix", Addr: socket, PoolSize: asynqSubmitters + 10}}
	if q.redis, err = proc.Start(dir+"/redis.log", exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir, //nolint:noctx // it outlives calls, and Stop ends it
		"--appendonly", "yes", "--appendfsync", fsync, "--save", "")); err != nil {
		return nil, err
	}
	if _, err := q.redis.Says(s.Context, "ready to accept connections"); err != nil {
		return nil, errors.Join(err, q.redis.Stop())
	}
	q.direct = redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	q.client = asynq.NewClient(q.at)
	return q, q.client.Ping()
}

// asynqJob is the payload of every job.
type asynqJob struct {
	// Step is this one's number, of Steps.
	Step  int `json:"step,omitempty"`
	Steps int `json:"steps,omitempty"`
}

func (j asynqJob) task(name string) *asynq.Task {
	text, err := json.Marshal(j)
	if err != nil {
		panic(err) // two numbers
	}
	return asynq.NewTask(name, text)
}

func (q *asynqQueue) Fill(n int) error {
	var next atomic.Int64
	errs := make([]error, asynqSubmitters)
	var wg sync.WaitGroup
	for i := range asynqSubmitters {
		wg.Go(func() {
			for next.Add(1) <= int64(n) && errs[i] == nil {
				_, errs[i] = q.client.EnqueueContext(q.s.Context, asynqJob{}.task("noop"))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (q *asynqQueue) Prepare(w Workload) (err error) {
	slots, look := w.Slots, asynqLook
	if slots == 0 {
		slots = asynqSlots
	}
	if w.Kind != Noop {
		look = asynqLookAtOnce
	}
	q.worker, err = proc.StartSelf(q.s.Context, q.dir+"/worker.log", os.Environ(), asynqCommand, q.at.Addr, strconv.Itoa(slots), look.String(), string(w.Kind))
	return err
}

func (q *asynqQueue) Work() error { return q.worker.Tell(proc.GoOn) }

// Drained asks for the lists of what waits and what runs; what has ended is in neither.
func (q *asynqQueue) Drained() error {
	return proc.Await(q.s.Context, pollEvery, func() (bool, error) {
		var waits, runs *redis.IntCmd
		_, err := q.direct.TxPipelined(q.s.Context, func(p redis.Pipeliner) error {
			waits, runs = p.LLen(q.s.Context, "asynq:{default}:pending"), p.LLen(q.s.Context, "asynq:{default}:active")
			return nil
		})
		return err == nil && waits.Val()+runs.Val() == 0, err
	})
}

// OneByOne asks for each job until it has ended: there is nothing that would tell.
func (q *asynqQueue) OneByOne(n int) ([]Latencies, error) {
	inspector := asynq.NewInspector(q.at)
	defer func() { _ = inspector.Close() }() // it only reads
	start, seen := Latencies{What: Start}, Latencies{What: Seen}
	for i := range n + WarmJobs {
		began := time.Now()
		t, err := q.client.EnqueueContext(q.s.Context, asynqJob{}.task("stamp"), asynq.Retention(proc.Patience))
		if err != nil {
			return nil, err
		}
		if err := proc.Await(q.s.Context, askAgain, func() (bool, error) {
			now, err := inspector.GetTaskInfo(t.Queue, t.ID)
			return err == nil && now.State == asynq.TaskStateCompleted, err
		}); err != nil {
			return nil, err
		}
		took := time.Since(began)
		at, err := startedAt(q.s.Context, q.worker, t.ID)
		if err != nil {
			return nil, err
		}
		if i >= WarmJobs {
			start.Took, seen.Took = append(start.Took, at.Sub(began)), append(seen.Took, took)
		}
	}
	return []Latencies{start, seen}, nil
}

// Graph begins with its first job; the worker says when the last one runs.
func (q *asynqQueue) Graph(_ Kind, n int) error {
	if _, err := q.client.EnqueueContext(q.s.Context, asynqJob{Steps: n}.task("first")); err != nil {
		return err
	}
	if _, err := q.worker.Says(q.s.Context, "^"+ended+"$"); err != nil {
		return err
	}
	return q.Drained()
}

func (q *asynqQueue) Parts() []proc.Part {
	all := []proc.Part{proc.Itself(), {Role: proc.Database, PID: q.redis.PID(), Reach: proc.WholeTree}}
	if q.worker != nil {
		all = append(all, proc.Part{Role: proc.Worker, PID: q.worker.PID()})
	}
	return all
}

func (q *asynqQueue) Close() error {
	return errors.Join(q.worker.Stop(), q.client.Close(), q.direct.Close(), q.redis.Stop(), os.RemoveAll(q.dir))
}

// asynqProgram is the worker: bench asynq SOCKET SLOTS LOOK KIND.
func asynqProgram(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("want SOCKET SLOTS LOOK KIND, got %q", args)
	}
	slots, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	look, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	at := asynq.RedisClientOpt{Network: "unix", Addr: args[0], PoolSize: slots + 10}
	direct := redis.NewClient(&redis.Options{Network: "unix", Addr: args[0]})
	defer func() { _ = direct.Close() }()
	client := asynq.NewClient(at)
	defer func() { _ = client.Close() }()
	mux := asynqHandlers(client, direct, Kind(args[3]))
	if err := errors.Join(client.Ping(), proc.AwaitGo(os.Stdin)); err != nil {
		return err
	}
	servers := make([]*asynq.Server, min(asynqServers, slots))
	for i := range servers {
		servers[i] = asynq.NewServer(at, asynq.Config{Concurrency: slots / len(servers), TaskCheckInterval: look, LogLevel: asynq.FatalLevel})
		if err := servers[i].Start(mux); err != nil {
			return err
		}
	}
	<-ctx.Done()
	for _, s := range servers {
		s.Shutdown()
	}
	return nil
}

// asynqHandlers are what jobs do. Each job of a graph adds what follows before it ends.
func asynqHandlers(client *asynq.Client, direct *redis.Client, k Kind) *asynq.ServeMux {
	mux := asynq.NewServeMux()
	handle := func(name string, f func(context.Context, asynqJob) error) {
		mux.HandleFunc(name, func(ctx context.Context, t *asynq.Task) error {
			var j asynqJob
			if err := json.Unmarshal(t.Payload(), &j); err != nil {
				return err
			}
			return f(ctx, j)
		})
	}
	add := func(ctx context.Context, j asynqJob, name string, o ...asynq.Option) error {
		_, err := client.EnqueueContext(ctx, j.task(name), o...)
		if errors.Is(err, asynq.ErrTaskIDConflict) {
			return nil // another has added the same
		}
		return err
	}
	step := func(ctx context.Context, j asynqJob) error {
		if j.Steps > 2 {
			return add(ctx, asynqJob{Steps: j.Steps - 1}, "step")
		}
		return add(ctx, asynqJob{}, "last")
	}
	mux.HandleFunc("noop", func(context.Context, *asynq.Task) error { return nil })
	mux.HandleFunc("stamp", func(_ context.Context, t *asynq.Task) error {
		at := time.Now()
		fmt.Printf("start %s %d\n", t.ResultWriter().TaskID(), at.UnixNano())
		return nil
	})
	handle("step", step)
	handle("last", func(context.Context, asynqJob) error {
		fmt.Println(ended)
		return nil
	})
	handle("middle", func(ctx context.Context, j asynqJob) error {
		if err := direct.SAdd(ctx, "fanned", j.Step).Err(); err != nil {
			return err
		}
		n, err := direct.SCard(ctx, "fanned").Result()
		if err != nil || n < int64(j.Steps) {
			return err
		}
		return add(ctx, asynqJob{}, "last", asynq.TaskID("last"))
	})
	if k == Chain {
		handle("first", step)
		return mux
	}
	handle("first", func(ctx context.Context, j asynqJob) error {
		for i := range j.Steps {
			if err := add(ctx, asynqJob{Step: i, Steps: j.Steps}, "middle"); err != nil {
				return err
			}
		}
		return nil
	})
	return mux
}
