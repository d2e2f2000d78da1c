package reeve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent"
	"github.com/reeve-scheduler/reeve/internal/agent/inventory"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/function"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// WorkerConfig says what worker to be. Zero fields mean the defaults.
type WorkerConfig struct {
	// Name is what lists call the worker; default the host's name with a random part. One
	// name is for one worker at a time: a program that was killed and comes back under the
	// name of before is let in once the lease of its predecessor is over.
	Name string
	// Concurrency is how many attempts run at the same time; default one per processor.
	Concurrency int
	// Prefetch is how many more are held ready, so that none waits for the network;
	// default Concurrency, but at least 8. Functions of microseconds want ten to twenty times
	// as many.
	// Negative is none.
	Prefetch int
	// Labels are what tasks choose workers by, beside os, arch and host.
	Labels map[string]string
	// CPU and Memory (bytes) bound what attempts have reserved together; default one
	// processor for each of Concurrency, and the machine's memory. They are accounted, not
	// enforced.
	CPU    float64
	Memory int64
	// Other is amounts of anything else that the worker has, by name: "disk" in bytes,
	// "bandwidth" in bits per second, a number of whatever jobs may ask for.
	Other map[string]int64
	// Devices is ids by the name of their resource, such as "gpu". Each attempt gets as many
	// as it asks for, which no other has at the same time, and finds them in the variables
	// REEVE_GPUS and REEVE_DEVICES_NAME.
	Devices map[string][]string
	// Pool is where the worker belongs, for jobs that ask for a pool; default "default".
	Pool string
	// StopWait is how long Run waits for what runs once its context has ended; then the
	// contexts of handlers end too, and StopGrace later they are given up. Defaults 30 and
	// 10 seconds; negative is none.
	StopWait, StopGrace time.Duration
	// Version is the program's, for lists.
	Version string
	// Log takes what the worker has to say, such as lost connections; default
	// slog.Default().
	Log *slog.Logger
}

// Worker runs functions of this program as attempts of jobs. Register handlers, then Run.
type Worker struct {
	c   *Client
	cfg WorkerConfig

	mu       sync.Mutex
	handlers map[string]function.Handler
	wrong    []error
	ran      bool
}

// NewWorker returns a worker without handlers.
func NewWorker(c *Client, cfg WorkerConfig) *Worker {
	return &Worker{c: c, cfg: cfg, handlers: map[string]function.Handler{}}
}

// Handler does the work of one attempt. When the context ends it should return soon, with
// an error; context.Cause then says why: ErrCancelled, ErrTimeout, ErrStopping or ErrLeaseLost. An error
// fails the attempt, and the task's retry rule decides about another; see Permanent. A
// panic is an error.
type Handler func(ctx context.Context, a *Attempt) error

// Handle registers the handler of a function. Run reports a name that is empty or was
// registered before. It panics once Run was called, which has told the server by then what
// is handled here.
func (w *Worker) Handle(name string, h Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.ran:
		panic(fmt.Sprintf("reeve: function %q is registered after Run; register handlers first", name))
	case name == "" || h == nil:
		w.wrong = append(w.wrong, fmt.Errorf("function %q: want a name and a handler", name))
	case w.handlers[name] != nil:
		w.wrong = append(w.wrong, fmt.Errorf("function %q was registered twice", name))
	default:
		w.handlers[name] = func(ctx context.Context, in function.Invocation) ([]byte, error) {
			a := newAttempt(w.c, in)
			if err := h(ctx, a); err != nil {
				return nil, err
			}
			return a.written()
		}
	}
}

// Handle registers a handler with typed JSON payloads: the payload is read into an In, and
// what it returns is the task's result, which JobInfo.Result reads and which other tasks
// find as outputs.result. An Out of struct{} has no result. A payload that can't be read
// fails the attempt for good.
func Handle[In, Out any](w *Worker, name string, h func(ctx context.Context, a *Attempt, in In) (Out, error)) {
	var none Out
	_, empty := any(none).(struct{})
	w.Handle(name, func(ctx context.Context, a *Attempt) error {
		var in In
		if err := a.Decode(&in); err != nil {
			return Permanent(err)
		}
		out, err := h(ctx, a, in)
		if err != nil || empty {
			return err
		}
		b, err := client.Marshal(out)
		if err != nil {
			return Permanent(fmt.Errorf("result: %w", err))
		}
		a.SetOutput(resultKey, string(b))
		return nil
	})
}

// Run works until ctx ends; then it takes nothing new, waits for what runs, reports it,
// and returns nil. It connects again whenever the connection is lost. An error means that
// the worker could not start: handlers are wrong, or the token is. It can be called once.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	if w.ran {
		w.wrong = append(w.wrong, errors.New("Run was called before"))
	}
	w.ran = true
	wrong, handlers := errors.Join(w.wrong...), maps.Clone(w.handlers)
	w.mu.Unlock()
	if wrong == nil && len(handlers) == 0 {
		wrong = errors.New("it has no handlers")
	}
	if wrong != nil {
		return &Error{Code: CodeInvalid, Message: "worker: " + strings.ReplaceAll(wrong.Error(), "\n", "; "), cause: wrong}
	}
	has, err := inventory.Chosen(inventory.Choice{Amounts: w.cfg.Other, Devices: w.cfg.Devices})
	if err != nil {
		return &Error{Code: CodeInvalid, Message: "worker: " + err.Error(), cause: err}
	}
	a, err := agent.New(w.agentConfig(handlers, has))
	if err != nil {
		return &Error{Code: CodeInvalid, Message: err.Error(), cause: err}
	}
	// A server that is away is waited for; a token that it refuses will not get better.
	if _, err := w.c.Ping(ctx); errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrDenied) {
		return err
	}
	return a.Run(ctx)
}

func (w *Worker) agentConfig(handlers map[string]function.Handler, has inventory.Stock) agent.Config {
	c := w.cfg
	if c.Log == nil {
		c.Log = slog.Default()
	}
	capacity := job.Resources{CPU: int64(c.CPU * 1000), Memory: c.Memory, Other: has.Capacity.Other}
	if capacity.CPU <= 0 && c.Concurrency > 0 {
		capacity.CPU = int64(c.Concurrency) * 1000
	}
	return agent.Config{
		Server: w.c.c.Agent(), Name: c.Name, Labels: c.Labels, Capacity: capacity, Devices: has.Devices, Pool: c.Pool, Slots: c.Concurrency, Prefetch: c.Prefetch,
		Functions: slices.Sorted(maps.Keys(handlers)), Version: c.Version, LeaveWait: c.StopWait, LeaveGrace: c.StopGrace, Log: c.Log,
		Executors: []agent.Kind{{Name: "function", Open: func(_ context.Context, events executor.Events) (executor.Executor, error) {
			return function.New(handlers, events), nil
		}}},
	}
}

// Attempt is one try of one element of a task, which a handler is called for. It may be
// used concurrently until the handler returns. A test of a handler may make one of the
// fields that the handler reads; what it leaves is in Outputs then.
type Attempt struct {
	// ID is the reference, such as 4217.resize.3@2. Element is the same without the
	// attempt, such as 4217.resize.3: the same in every attempt, and so a key for calls
	// that must take effect once.
	ID, Element string
	Job, Task   string
	// Index is the array index; -1 for a task that is not an array.
	Index int64
	// Number counts from 1.
	Number int
	// Fence is higher for each further attempt, cluster-wide. What can refuse lower ones
	// than it has seen is safe from attempts that were superseded.
	Fence uint64
	// Payload is the function's input: JSON, nil if none was given. Of an array made of
	// items it is the item, as a JSON string.
	Payload []byte
	// Log takes what the attempt has to say; it is shown and kept as its standard output.
	// See Logger too.
	Log io.Writer

	c       *Client
	proof   link.Proof
	environ func() []string
	mu      sync.Mutex
	env     []string
	outputs map[string]string
}

func newAttempt(c *Client, in function.Invocation) *Attempt {
	element := in.Ref
	element.Attempt = 0
	return &Attempt{
		ID: in.Ref.String(), Element: element.String(), Job: in.Ref.Job.String(), Task: in.Ref.Task, Index: in.Ref.Index,
		Number: in.Ref.Attempt, Fence: in.Fence, Payload: in.Payload, Log: in.Log, c: c, proof: in.Proof, environ: in.Environ,
	}
}

// Logger returns a logger that writes lines of text to Log.
func (a *Attempt) Logger() *slog.Logger {
	if a.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(a.Log, nil))
}

// Decode reads the payload into v with encoding/json. Without a payload v stays as it is.
func (a *Attempt) Decode(v any) error {
	if len(a.Payload) == 0 {
		return nil
	}
	if err := json.Unmarshal(a.Payload, v); err != nil {
		return fmt.Errorf("payload of function task %s: %w", a.Element, err)
	}
	return nil
}

// Env returns a variable that a process would find in its environment: the job's and the
// task's env, and those that begin with REEVE_. It is empty for one that is not set.
func (a *Attempt) Env(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.env == nil && a.environ != nil {
		a.env = a.environ()
	}
	for _, v := range slices.Backward(a.env) { // later ones win
		if v, ok := strings.CutPrefix(v, name); ok && strings.HasPrefix(v, "=") {
			return v[1:]
		}
	}
	return ""
}

// SetOutput sets an output of the task, which other tasks use as
// ${{ tasks.NAME.outputs.KEY }}. Keys are small letters, digits and underscores; all
// outputs of an attempt have at most 64 KiB. Only those of an attempt that succeeds count.
func (a *Attempt) SetOutput(key, value string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.outputs == nil {
		a.outputs = map[string]string{}
	}
	a.outputs[key] = value
}

// Outputs returns a copy of what SetOutput has set so far.
func (a *Attempt) Outputs() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.outputs)
}

// SaveArtifact keeps a file with the job, for Client.Artifacts and for tasks that fetch
// from this one. The path is relative and has slashes; saving to it again replaces the
// file. It starts again from where from stands now whenever the connection breaks, until
// ctx ends. An attempt that was superseded gets ErrRefused.
func (a *Attempt) SaveArtifact(ctx context.Context, path string, from io.ReadSeeker) error {
	if a.c == nil {
		return invalid("artifact " + path + ": this attempt was made by no worker, and has nowhere to keep it")
	}
	ref, err := job.ParseRef(a.ID)
	if err != nil {
		return fail(ctx, err)
	}
	start, err := from.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("artifact %s: %w", path, err)
	}
	s := stream{c: a.c, patience: forever}
	return s.run(ctx, func() error {
		if _, err := from.Seek(start, io.SeekStart); err != nil {
			return invalid(fmt.Sprintf("artifact %s: %v", path, err))
		}
		return a.c.c.Agent().PutArtifact(ctx, link.Claim{Fence: link.Fence(a.Fence), Ref: ref, Proof: a.proof}, path, from)
	})
}

// written is the outputs as the agent takes them.
func (a *Attempt) written() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.outputs) == 0 {
		return nil, nil
	}
	b, err := client.Marshal(a.outputs)
	if err != nil {
		return nil, Permanent(fmt.Errorf("outputs: %w", err))
	}
	return b, nil
}
