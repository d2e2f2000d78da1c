package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// running is a server in this process.
type running struct {
	t    *testing.T
	dir  string
	url  string
	log  *book
	stop context.CancelFunc
	over chan error
}

// book keeps the log's text.
type book struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start runs a server and waits until it answers.
func start(t *testing.T, c ServerConfig) *running {
	t.Helper()
	r := &running{t: t, dir: c.Dir, log: &book{}, over: make(chan error, 1)}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	c.Log, c.Version = slog.New(slog.NewTextHandler(r.log, nil)), "test"
	ready := make(chan string, 1)
	c.Ready = func(url string) { ready <- url }
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.over <- RunServer(ctx, c) }()
	select {
	case r.url = <-ready:
	case err := <-r.over:
		t.Fatalf("the server did not start: %v", err)
	case <-time.After(patience):
		t.Fatalf("the server does not answer:\n%s", r.log)
	}
	t.Cleanup(cancel)
	return r
}

// end stops the server and wants good order.
func (r *running) end() {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.over:
		if err != nil {
			r.t.Errorf("the server ended with %v", err)
		}
	case <-time.After(patience):
		r.t.Fatalf("the server does not stop:\n%s", r.log)
	}
}

// admin is a client with the administrator's token, or without any for a development
// server.
func (r *running) admin() *client.Client {
	r.t.Helper()
	c := Connection{Address: r.url}
	if strings.HasPrefix(r.url, "https") {
		token, err := os.ReadFile(filepath.Join(r.dir, AdminTokenFile))
		if err != nil {
			r.t.Fatal(err)
		}
		c.Token, c.CAFile = strings.TrimSpace(string(token)), filepath.Join(r.dir, CAFile)
	}
	cl, err := Dial(c, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(cl.Close)
	return cl
}

func (r *running) submit(cl *client.Client, file string) string {
	r.t.Helper()
	jobs, err := cl.Submit(r.t.Context(), &client.SubmitRequest{Source: client.File([]byte(file))})
	if err != nil {
		r.t.Fatal(err)
	}
	return jobs[0].GetId()
}

// refused runs a server that must not start, and wants a clear line.
func refused(t *testing.T, c ServerConfig, parts ...string) error {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	c.Ready = func(string) { t.Error("the server answers") }
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := RunServer(ctx, c)
	if err == nil {
		t.Error("the server started, and stopped in good order")
		return nil
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is more than a line: %q", err)
	}
	return err
}

// TestServerLife starts, works, stops in good order, and finds everything again.
func TestServerLife(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	r := start(t, ServerConfig{Dir: dir})
	cl := r.admin()
	if err := cl.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := r.submit(cl, `run: "true"`)
	first, err := cl.Status(t.Context())
	if err != nil || first.GetEpoch() != 1 || first.GetVersion() != "test" {
		t.Errorf("the status is %v, %v", first, err)
	}
	r.end()
	for _, part := range []string{"serving", "stopping", "made the administrator's token"} {
		if !strings.Contains(r.log.String(), part) {
			t.Errorf("the log does not say %q:\n%s", part, r.log)
		}
	}
	if strings.Contains(r.log.String(), "ERROR") {
		t.Errorf("a stop in good order logs an error:\n%s", r.log)
	}

	r = start(t, ServerConfig{Dir: dir})
	cl = r.admin() // the token is the same
	j, err := cl.Get(t.Context(), id, false)
	if err != nil || j.GetState() != "pending" {
		t.Errorf("after a restart job %s is %v, %v", id, j.GetState(), err)
	}
	second, err := cl.Status(t.Context())
	if err != nil || second.GetEpoch() != 2 || second.GetProjectedSequence() < first.GetSequence() {
		t.Errorf("the second term's status is %v, %v", second, err)
	}
	if strings.Contains(r.log.String(), "made the administrator's token") {
		t.Error("a second administrator's token was made")
	}
	r.end()
}

// TestSecretsAreTheOwnersAlone looks at what a server leaves in its directory.
func TestSecretsAreTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, AdminTokenFile)
	if err := os.WriteFile(file, []byte("older, and open to all"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := start(t, ServerConfig{Dir: dir})
	if err := r.admin().Check(t.Context()); err != nil {
		t.Error(err)
	}
	r.end()
	private(t, dir)
}

// private wants every file of a server for its owner alone.
func private(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s has mode %o; want it for its owner alone", name, mode)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestOneServerPerDirectory starts a second server on the data of a running one.
func TestOneServerPerDirectory(t *testing.T) {
	dir := t.TempDir()
	r := start(t, ServerConfig{Dir: dir, Dev: true})
	err := refused(t, ServerConfig{Dir: dir, Dev: true}, "in use by another process", dir, "stop the other server or choose another directory")
	if !errors.Is(err, store.ErrLocked) {
		t.Errorf("the error is %v; want %v", err, store.ErrLocked)
	}
	if err := r.admin().Check(t.Context()); err != nil {
		t.Errorf("the first server: %v", err)
	}
	r.end()
	start(t, ServerConfig{Dir: dir, Dev: true}).end() // the lock is gone with its holder
}

// TestPortInUse says so, and leaves the data as it was.
func TestPortInUse(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	address := l.Addr().String()
	for range 2 {
		refused(t, ServerConfig{Dir: dir, Listen: address}, "listen on "+address, "already in use", "--listen")
	}
	r := start(t, ServerConfig{Dir: dir})
	if s, err := r.admin().Status(t.Context()); err != nil || s.GetEpoch() != 1 {
		t.Errorf("servers that could not listen began terms: epoch %d, %v", s.GetEpoch(), err)
	}
	r.end()
}

// TestBadConfigs are refused before anything is opened.
// TestPart: what is past its retention is looked for often enough, whatever that is.
func TestPart(t *testing.T) {
	for _, c := range []struct{ retention, want time.Duration }{
		{0, maxSpan}, {30 * 24 * time.Hour, maxSpan}, {24 * time.Hour, 3 * time.Hour}, {time.Second, minSpan},
	} {
		if got := part(c.retention, minSpan, maxSpan); got != c.want {
			t.Errorf("part of %s is %s, want %s", c.retention, got, c.want)
		}
	}
}

func TestBadConfigs(t *testing.T) {
	for name, test := range map[string]struct {
		c    ServerConfig
		says []string
	}{
		"no port":                   {ServerConfig{Listen: "127.0.0.1"}, []string{`"127.0.0.1"`, "host:port", DefaultListen}},
		"no address":                {ServerConfig{Listen: "nonsense"}, []string{`"nonsense"`, "host:port"}},
		"an open development":       {ServerConfig{Listen: ":7420", Dev: true}, []string{":7420", "loopback only", "--dev"}},
		"development for others":    {ServerConfig{Listen: "192.0.2.1:0", Dev: true}, []string{"loopback only"}},
		"a certificate alone":       {ServerConfig{CertFile: "x.crt"}, []string{"--tls-cert", "--tls-key"}},
		"a key alone":               {ServerConfig{KeyFile: "x.key"}, []string{"--tls-cert", "--tls-key"}},
		"a certificate for nothing": {ServerConfig{Dev: true, CertFile: "x.crt", KeyFile: "x.key"}, []string{"no TLS", "--dev"}},
		"a short lease":             {ServerConfig{Lease: 200 * time.Millisecond}, []string{"lease 200ms", "at least 1s"}},
		"a negative lease":          {ServerConfig{Lease: -time.Minute}, []string{"lease -1m", "at least 1s"}},
		"no address to advertise":   {ServerConfig{Advertise: []string{"a.example:7420", "no host:7420"}}, []string{`"no host:7420"`, "host:port"}},
		"no port to advertise":      {ServerConfig{Advertise: []string{"[::1]:99999"}}, []string{`"[::1]:99999"`, "host:port"}},
		"no name":                   {ServerConfig{Names: []string{"10.0.0.1", "bad name!"}}, []string{`"bad name!"`, "a host's name"}},
		"a negative retention":      {ServerConfig{Retention: -time.Hour}, []string{"retention -1h", "positive"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.c.Dir = filepath.Join(t.TempDir(), "data")
			refused(t, test.c, test.says...)
			if _, err := os.Stat(test.c.Dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the data directory was touched: %v", err)
			}
		})
	}
}

// TestBadPlaces are found when they are opened.
func TestBadPlaces(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("not a directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign, "journal.db"), []byte("what somebody else wrote, and no database at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		c    ServerConfig
		says []string
	}{
		"a file":               {ServerConfig{Dir: file}, []string{file}},
		"below a file":         {ServerConfig{Dir: filepath.Join(file, "data")}, []string{file}},
		"an address elsewhere": {ServerConfig{Dir: filepath.Join(dir, "a"), Listen: "192.0.2.1:0"}, []string{"listen on 192.0.2.1:0"}},
		"a port that is none":  {ServerConfig{Dir: filepath.Join(dir, "b"), Listen: "127.0.0.1:99999"}, []string{"listen on 127.0.0.1:99999"}},
		"no such certificate":  {ServerConfig{Dir: filepath.Join(dir, "c"), CertFile: "none.crt", KeyFile: "none.key"}, []string{"none.crt"}},
		"metrics for others":   {ServerConfig{Dir: filepath.Join(dir, "d"), Admin: "0.0.0.0:0"}, []string{"0.0.0.0:0", "loopback"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, test.c, test.says...) })
	}
}

// TestUnwritableDirectory needs a user for whom there is such a thing.
func TestUnwritableDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs to run as a user other than root, who may write everywhere")
	}
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	err := refused(t, ServerConfig{Dir: dir}, dir, "permission denied")
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the error is %v", err)
	}
}

// TestDirectoryOfEverybody: whoever can write there can put other data in its place.
func TestDirectoryOfEverybody(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // past the umask
		t.Fatal(err)
	}
	refused(t, ServerConfig{Dir: dir}, dir, "mode 0777", "chmod 700")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	start(t, ServerConfig{Dir: dir, Dev: true}).end()
}

// TestDamagedData says which file it is, and does not start.
func TestDamagedData(t *testing.T) {
	dir := t.TempDir()
	start(t, ServerConfig{Dir: dir, Dev: true}).end()
	damaged := 0
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "journal") && !e.IsDir() {
			damaged++
			if err := os.WriteFile(filepath.Join(dir, e.Name()), []byte(strings.Repeat("rubbish ", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if damaged == 0 {
		t.Fatalf("there is no journal in %v", entries)
	}
	if err := refused(t, ServerConfig{Dir: dir, Dev: true}, "journal"); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("the error is %v; want %v", err, store.ErrCorrupt)
	}
}

// TestLostData: a server whose journal and tables are both gone does not begin anew in
// their place.
func TestLostData(t *testing.T) {
	dir := t.TempDir()
	start(t, ServerConfig{Dir: dir, Dev: true}).end()
	files, err := filepath.Glob(filepath.Join(dir, "*.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("the store's files are %v, %v", files, err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, ServerConfig{Dir: dir, Dev: true}, dir, "neither its journal nor its tables")
	if err := os.RemoveAll(filepath.Join(dir, logsDir)); err != nil {
		t.Fatal(err)
	}
	start(t, ServerConfig{Dir: dir, Dev: true}).end() // as one that never was
}

// TestStopWithOpenStreams ends watchers, and lets calls under way end by themselves.
func TestStopWithOpenStreams(t *testing.T) {
	r := start(t, ServerConfig{Dir: t.TempDir(), Dev: true})
	const watchers = 5
	open, ended := make(chan struct{}, watchers), make(chan error, watchers)
	for range watchers {
		cl := r.admin()
		go func() {
			first := true
			ended <- cl.Watch(t.Context(), "", nil, "", func(*client.WatchResponse) error {
				if first {
					first = false
					open <- struct{}{}
				}
				return nil
			})
		}()
	}
	// A watch is open when it has told something: submits go on until all have.
	submits := make(chan error, 1)
	quit := make(chan struct{})
	go func() {
		cl := r.admin()
		for {
			_, err := cl.Submit(t.Context(), &client.SubmitRequest{Source: client.File([]byte(`run: "true"`))})
			select {
			case <-quit:
				submits <- err
				return
			default:
			}
			if err != nil {
				submits <- err
				return
			}
		}
	}()
	for range watchers {
		select {
		case <-open:
		case <-time.After(patience):
			t.Fatal("a watch tells nothing")
		}
	}
	close(quit)
	if err := <-submits; err != nil {
		t.Errorf("a submit beside the watches: %v", err)
	}
	r.end()
	for range watchers {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("a watch ended as if there was no more")
			}
		case <-time.After(patience):
			t.Fatal("a watch outlives its server")
		}
	}
}

// TestSubmitsWhileTheServerStops has clients submit until the server is gone: whatever
// was acknowledged is there afterwards, and no call is cut off in the middle.
func TestSubmitsWhileTheServerStops(t *testing.T) {
	dir := t.TempDir()
	r := start(t, ServerConfig{Dir: dir, Dev: true})
	const clients = 4
	var mu sync.Mutex
	var acknowledged []string
	var wait sync.WaitGroup
	begun := make(chan struct{}, clients)
	for n := range clients {
		cl, err := client.New(client.Options{Address: r.url, Patience: -1, UserAgent: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		wait.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d", n, i)
				jobs, err := cl.Submit(t.Context(), &client.SubmitRequest{Source: client.File([]byte(`run: "true"`)), Items: []*client.SubmitItem{{IdempotencyKey: key}}})
				if err != nil {
					if strings.Contains(err.Error(), "given up") || strings.Contains(err.Error(), "unknown") {
						t.Errorf("a call was cut off: %v", err)
					}
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, jobs[0].GetId())
				mu.Unlock()
				if i == 3 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range clients {
		<-begun
	}
	r.end()
	wait.Wait()
	r = start(t, ServerConfig{Dir: dir, Dev: true})
	cl := r.admin()
	for _, id := range acknowledged {
		if _, err := cl.Get(t.Context(), id, false); err != nil {
			t.Errorf("job %s was acknowledged: %v", id, err)
		}
	}
	r.end()
}

// TestWithoutATokenNothing holds the real server to its policy: closed by default.
func TestWithoutATokenNothing(t *testing.T) {
	r := start(t, ServerConfig{Dir: t.TempDir()})
	stranger, err := Dial(Connection{Address: r.url, CAFile: filepath.Join(r.dir, CAFile)}, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := stranger.Check(t.Context()); err != nil {
		t.Errorf("health is for everybody: %v", err)
	}
	if _, err := stranger.Status(t.Context()); job.CodeOf(err) != job.Unauthenticated {
		t.Errorf("the status without a token: %v", err)
	}
	unsure, err := client.New(client.Options{Address: r.url, Patience: -1, UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer unsure.Close()
	if err := unsure.Check(t.Context()); err == nil {
		t.Error("a client that does not know the server's authority trusts it")
	}
	plain := strings.Replace(r.url, "https", "http", 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, plain, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS the server answers %s", resp.Status)
		}
	}
	r.end()
}

// TestJoinTokens name the server and its authority; a development server has neither.
func TestJoinTokens(t *testing.T) {
	r := start(t, ServerConfig{Dir: t.TempDir(), Advertise: []string{"reeve.example.com:7420", "192.0.2.7:7420"}})
	made, err := r.admin().CreateToken(t.Context(), &client.NewToken{Name: "fleet", Scopes: []string{"worker"}, Join: true})
	if err != nil {
		t.Fatal(err)
	}
	j, err := auth.ParseJoin(made.GetJoinToken())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(j.Addresses, []string{"reeve.example.com:7420", "192.0.2.7:7420"}) || j.CA == ([32]byte{}) {
		t.Errorf("the join token names %v and authority %x", j.Addresses, j.CA)
	}
	r.end()
	dev := start(t, ServerConfig{Dir: t.TempDir(), Dev: true})
	if _, err := dev.admin().CreateToken(t.Context(), &client.NewToken{Name: "fleet", Scopes: []string{"worker"}, Join: true}); err == nil ||
		!strings.Contains(err.Error(), "without --dev") {
		t.Errorf("a development server made a join token: %v", err)
	}
	dev.end()
}
