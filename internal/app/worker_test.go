package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/executor/process"
)

// TestMain makes the test binary a keeper when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "keeper" {
		os.Exit(process.KeeperMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// work runs a worker and returns its end.
func work(t *testing.T, c WorkerConfig) (stop func() error, log *book) {
	t.Helper()
	log = &book{}
	c.Dir, c.KeeperIdle, c.Version = filepath.Join(t.TempDir(), "worker"), time.Second, "test"
	c.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() {
		err := RunWorker(ctx, c)
		c.Log.Info("ended", "error", err)
		over <- err
	}()
	t.Cleanup(cancel)
	return func() error {
		cancel()
		select {
		case err := <-over:
			return err
		case <-time.After(patience):
			t.Fatalf("the worker does not stop:\n%s", log)
			return nil
		}
	}, log
}

// ends waits for a job's end and returns its state.
func ends(t *testing.T, cl *client.Client, id string, log *book) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	j, err := cl.Follow(ctx, id, func(*client.Job) {})
	if err != nil {
		why, _ := cl.Explain(t.Context(), id)
		t.Fatalf("job %s: %v\n%v\nthe worker's log:\n%s", id, err, why, log)
	}
	return j.GetState()
}

// TestWorkerByJoinToken runs a job on a worker that knows nothing but its token, over
// TLS, and stops worker and server in that order.
func TestWorkerByJoinToken(t *testing.T) {
	r := start(t, ServerConfig{Dir: t.TempDir()})
	cl := r.admin()
	made, err := cl.CreateToken(t.Context(), &client.NewToken{Name: "fleet", Scopes: []string{"worker"}, Join: true})
	if err != nil {
		t.Fatal(err)
	}
	stop, log := work(t, WorkerConfig{Name: "w1", Join: made.GetJoinToken(), Slots: 2})
	if got := ends(t, cl, r.submit(cl, `run: "true"`), log); got != "succeeded" {
		t.Errorf("the job %s", got)
	}
	if err := stop(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	if !strings.Contains(log.String(), "working") || strings.Contains(log.String(), made.GetSecret()) && made.GetSecret() != "" {
		t.Errorf("the worker's log:\n%s", log)
	}
	list, err := cl.Workers(t.Context())
	if err != nil || len(list) > 1 || len(list) == 1 && list[0].GetConnected() {
		t.Errorf("after its end the worker is %v, %v", list, err)
	}
	r.end()
}

// TestServerRestartsUnderAWorker stops the server with a worker's session open, and
// starts another at the same place: the worker comes back and works on.
func TestServerRestartsUnderAWorker(t *testing.T) {
	dir := t.TempDir()
	r := start(t, ServerConfig{Dir: dir, Dev: true})
	cl := r.admin()
	stop, log := work(t, WorkerConfig{Name: "w1", Slots: 1, Connection: Connection{Address: r.url}})
	if got := ends(t, cl, r.submit(cl, `run: "true"`), log); got != "succeeded" {
		t.Errorf("the first job %s", got)
	}
	r.end()
	r = start(t, ServerConfig{Dir: dir, Dev: true, Listen: strings.TrimPrefix(r.url, "http://")})
	cl = r.admin()
	if got := ends(t, cl, r.submit(cl, `run: "true"`), log); got != "succeeded" {
		t.Errorf("the second job %s", got)
	}
	if err := stop(); err != nil {
		t.Errorf("the worker ended with %v:\n%s", err, log)
	}
	r.end()
}

// TestBadWorkers end at once, with a reason.
func TestBadWorkers(t *testing.T) {
	unmade, err := auth.NewCredential(make([]byte, auth.IDSize+auth.SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	nobody := auth.Join{Addresses: []string{"127.0.0.1:1", "127.0.0.1:2"}, CA: [32]byte{1}, Credential: unmade}
	away, err := nobody.Text()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ok := Connection{Address: "http://127.0.0.1:1"}
	for name, test := range map[string]struct {
		c    WorkerConfig
		says []string
	}{
		"no join token":            {WorkerConfig{Join: "rubbish"}, []string{"token"}},
		"less than no slots":       {WorkerConfig{Slots: -1, Connection: ok}, []string{"-1 slots", "at least 1"}},
		"an empty join file":       {WorkerConfig{JoinFile: os.DevNull, Connection: ok}, []string{os.DevNull + " is empty"}},
		"no join file":             {WorkerConfig{JoinFile: file + ".none", Connection: ok}, []string{file + ".none"}},
		"two join tokens":          {WorkerConfig{Join: away, JoinFile: file}, []string{"leave one out"}},
		"nobody there":             {WorkerConfig{Join: away}, []string{"no address of the join token answers"}},
		"no such authority":        {WorkerConfig{Connection: Connection{Address: "https://127.0.0.1:1", CAFile: file + ".none"}}, []string{file + ".none"}},
		"an address that is none":  {WorkerConfig{Connection: Connection{Address: "ftp://x"}}, []string{"ftp://x"}},
		"a bad name":               {WorkerConfig{Name: "No Name", Connection: ok}, []string{"No Name"}},
		"a directory that is none": {WorkerConfig{Dir: file, Connection: ok}, []string{file}},
		"metrics for others":       {WorkerConfig{Admin: ":0", Connection: ok}, []string{"loopback"}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.c.Dir == "" {
				test.c.Dir = t.TempDir()
			}
			test.c.Log = slog.New(slog.DiscardHandler)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := RunWorker(ctx, test.c)
			if err == nil || ctx.Err() != nil {
				t.Fatalf("the worker ended with %v", err)
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}
