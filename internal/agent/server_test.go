package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent/workspace"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// memServer is a server in memory: it welcomes, answers beats, acknowledges and
// keeps what it is sent.
type memServer struct {
	t testing.TB
	// beat and lease are what the welcome says.
	beat time.Duration
	// mute stops acknowledgements, deaf the answers to beats.
	mute, deaf bool

	hellos  chan link.Hello
	results chan link.Result
	started chan link.Started
	gone    chan link.Fence // returned
	leaving chan struct{}

	mu        sync.Mutex
	session   *memSession
	refuse    int // how many sessions to refuse
	beats     int
	artifacts map[string][]byte // by ref and path
	outputs   map[string]string
	blobs     map[string]string
	fetched   int
	logs      map[link.Fence]*memLog
	// breakLogs makes that many log streams break after a piece.
	breakLogs int
	fence     link.Fence
	told      map[[32]byte]bool
}

type memLog struct {
	text   []byte
	sealed chan struct{}
}

func newMemServer(t testing.TB) *memServer {
	return &memServer{
		t: t, beat: 50 * time.Millisecond, hellos: make(chan link.Hello, 100), results: make(chan link.Result, 100_000),
		started: make(chan link.Started, 100_000), gone: make(chan link.Fence, 1000), leaving: make(chan struct{}, 10),
		artifacts: map[string][]byte{}, outputs: map[string]string{}, blobs: map[string]string{}, logs: map[link.Fence]*memLog{},
	}
}

type memSession struct {
	s    *memServer
	to   chan link.ToWorker
	done chan struct{}
	once sync.Once
}

func (s *memServer) Session(context.Context) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse > 0 {
		s.refuse--
		return nil, errors.New("connection refused")
	}
	s.told = map[[32]byte]bool{}
	s.session = &memSession{s: s, to: make(chan link.ToWorker, 1000), done: make(chan struct{})}
	return s.session, nil
}

var errClosed = errors.New("closed")

func (c *memSession) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

func (c *memSession) Receive() (link.ToWorker, error) {
	select {
	case m := <-c.to:
		return m, nil
	case <-c.done:
		return link.ToWorker{}, errClosed
	}
}

func (c *memSession) answer(m link.ToWorker) error {
	select {
	case c.to <- m:
		return nil
	case <-c.done:
		return errClosed
	}
}

func (c *memSession) Send(m link.FromWorker) error {
	s := c.s
	switch {
	case m.Hello != nil:
		err := c.answer(link.ToWorker{Welcome: &link.Welcome{WorkerID: 1, Beat: s.beat, Lease: time.Minute}})
		s.hellos <- *m.Hello
		return err
	case m.Beat != nil:
		s.mu.Lock()
		s.beats++
		deaf := s.deaf
		s.mu.Unlock()
		if deaf {
			return nil
		}
		return c.answer(link.ToWorker{Beat: &link.BeatAnswer{Number: m.Beat.Number}})
	case m.Leaving:
		s.leaving <- struct{}{}
		return nil
	}
	var ack []link.Fence
	for _, r := range m.Report.Ended {
		s.results <- r
		ack = append(ack, r.Fence)
	}
	for _, r := range m.Report.Started {
		s.started <- r
	}
	for _, f := range m.Report.Returned {
		s.gone <- f
	}
	s.mu.Lock()
	mute := s.mute
	s.mu.Unlock()
	if len(ack) > 0 && !mute {
		return c.answer(link.ToWorker{Ack: ack})
	}
	return nil
}

// cut ends the current session from outside.
func (s *memServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.session.Close()
}

func (s *memServer) send(m link.ToWorker) {
	if err := s.trySend(m); err != nil {
		s.t.Errorf("send: %v", err)
	}
}

// trySend is send to a worker that may have gone.
func (s *memServer) trySend(m link.ToWorker) error {
	s.mu.Lock()
	c := s.session
	s.mu.Unlock()
	return c.answer(m)
}

// parse makes a spec of a job file.
func parse(t testing.TB, text string) *jobfile.Result {
	t.Helper()
	r, err := jobfile.Parse("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// assign sends n attempts of a task, and returns the fence of the first.
func (s *memServer) assign(spec *jobfile.Result, task, n int, change func(*link.Assignment)) link.Fence {
	s.t.Helper()
	m, first := s.assignment(spec, task, n, change)
	s.send(m)
	return first
}

func (s *memServer) assignment(spec *jobfile.Result, task, n int, change func(*link.Assignment)) (m link.ToWorker, first link.Fence) {
	as := &link.Assign{}
	s.mu.Lock()
	if !s.told[spec.Hash] {
		s.told[spec.Hash] = true
		as.Specs = []link.SpecText{{Hash: spec.Hash, Canonical: spec.Canonical}}
	}
	first = s.fence + 1
	s.fence += link.Fence(n)
	s.mu.Unlock()
	for i := range n {
		a := link.Assignment{
			Fence: first + link.Fence(i), Job: 7, Namespace: "default", Task: uint32(task), Index: job.NoIndex, Attempt: 1,
			SpecHash: spec.Hash, Lease: time.Minute, Count: 1, Proof: proofOf(first + link.Fence(i)),
		}
		if change != nil {
			change(&a)
		}
		as.Attempts = append(as.Attempts, a)
	}
	return link.ToWorker{Assign: as}, first
}

func artifactName(ref job.Ref, path string) string {
	ref.Attempt = 0
	return ref.String() + " " + path
}

func (s *memServer) PutArtifact(_ context.Context, of link.Claim, path string, from io.Reader) error {
	b, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	s.proven(of)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.artifacts[artifactName(of.Ref, path)] = b
	return nil
}

func (s *memServer) ListArtifacts(_ context.Context, ref job.Ref) ([]workspace.Artifact, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []workspace.Artifact
	for name, b := range s.artifacts {
		var r, path string
		if _, err := fmt.Sscanf(name, "%s %s", &r, &path); err != nil {
			return nil, err
		}
		of, err := job.ParseRef(r)
		if err != nil {
			return nil, err
		}
		if of.Task == ref.Task && (ref.Index == job.NoIndex || ref.Index == of.Index) {
			list = append(list, workspace.Artifact{Ref: of, Path: path, Size: int64(len(b))})
		}
	}
	slices.SortFunc(list, func(a, b workspace.Artifact) int { return int(a.Ref.Index - b.Ref.Index) })
	return list, nil
}

func (s *memServer) GetArtifact(_ context.Context, ref job.Ref, path string, to io.Writer) error {
	s.mu.Lock()
	b := s.artifacts[artifactName(ref, path)]
	s.mu.Unlock()
	_, err := to.Write(b)
	return err
}

func (s *memServer) Outputs(_ context.Context, ref job.Ref, to io.Writer) error {
	s.mu.Lock()
	text := s.outputs[ref.Task]
	s.mu.Unlock()
	_, err := io.WriteString(to, text)
	return err
}

func (s *memServer) FetchBlob(_ context.Context, key string, to io.Writer) error {
	s.mu.Lock()
	text := s.blobs[key]
	s.fetched++
	s.mu.Unlock()
	_, err := io.WriteString(to, text)
	return err
}

// memLogs is a log stream.
type memLogs struct {
	s       *memServer
	answers chan []LogAnswer
	done    chan struct{}
	once    sync.Once
	breaks  bool
}

func (s *memServer) AppendLogs(context.Context) (LogStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &memLogs{s: s, answers: make(chan []LogAnswer, 1000), done: make(chan struct{})}
	if s.breakLogs > 0 {
		s.breakLogs--
		st.breaks = true
	}
	return st, nil
}

func (s *memServer) log(f link.Fence) *memLog {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logOf(f)
}

// proofOf is what comes with an attempt.
func proofOf(f link.Fence) link.Proof { return link.Proof{0: byte(f), 15: 1} }

// proven wants what an attempt leaves to come with its proof.
func (s *memServer) proven(of link.Claim) {
	if of.Proof != proofOf(of.Fence) {
		s.t.Errorf("%s with fence %d comes with the proof %x", of.Ref, of.Fence, of.Proof[:])
	}
}

func (s *memServer) logOf(f link.Fence) *memLog {
	l := s.logs[f]
	if l == nil {
		l = &memLog{sealed: make(chan struct{})}
		s.logs[f] = l
	}
	return l
}

func (st *memLogs) Send(pieces []LogPiece) error {
	var answers []LogAnswer
	st.s.mu.Lock()
	for _, p := range pieces {
		st.s.proven(p.Claim)
		l := st.s.logOf(p.Fence)
		if p.Offset == int64(len(l.text)) {
			l.text = append(l.text, bytes.Clone(p.Frames)...)
			if p.Seal {
				close(l.sealed)
			}
		} else if p.Offset > int64(len(l.text)) {
			st.s.t.Errorf("log of %d: a gap before %d", p.Fence, p.Offset)
		}
		answers = append(answers, LogAnswer{Fence: p.Fence, Next: int64(len(l.text)), Done: p.Seal})
	}
	st.s.mu.Unlock()
	if st.breaks {
		_ = st.Close()
		return errClosed
	}
	st.answers <- answers
	return nil
}

func (st *memLogs) Receive() ([]LogAnswer, error) {
	select {
	case a := <-st.answers:
		return a, nil
	case <-st.done:
		return nil, errClosed
	}
}

func (st *memLogs) Close() error {
	st.once.Do(func() { close(st.done) })
	return nil
}

// get waits for the next of a channel, within bounds.
func get[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("nothing came in 20s")
		panic("unreachable")
	}
}

// testLog writes what the agent says to the test's log.
type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// runAgent runs an agent until the test ends or stop is called, which waits.
func runAgent(t testing.TB, cfg Config) (stop func()) {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "w1"
	}
	if cfg.Log == nil && os.Getenv("AGENTLOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if cfg.Log == nil {
		cfg.Log = quietLog()
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := get(t, done); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}
