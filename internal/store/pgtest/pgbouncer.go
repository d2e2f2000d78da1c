package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PgBouncer starts a pooler before the server, which gives each transaction whatever connection is
// free, and returns what turns the URL of a database into one that goes through it. It ends with
// the test.
func (s *Server) PgBouncer(tb testing.TB) func(at string) string {
	tb.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // a path that users have not
	}
	if _, err := os.Stat(program); err != nil {
		missing(tb, "PgBouncer (Debian: apt-get install pgbouncer)")
	}
	dir, err := privateDir("")
	if err != nil {
		tb.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 500
default_pool_size = 3
server_idle_timeout = 5
`, s.port, port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
	run := exec.Command(program, config) //nolint:noctx // its guard ends it
	run.Dir, run.SysProcAttr = dir, owner()
	running, err := guard(run, dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(running.end)
	through := func(at string) string {
		u, err := url.Parse(at)
		if err != nil {
			tb.Fatal(err)
		}
		u.Host = fmt.Sprintf("127.0.0.1:%d", port)
		return u.String()
	}
	awaitPooler(tb, through(s.URL("postgres")), filepath.Join(dir, "log"), running)
	return through
}

// awaitPooler waits until a pooler takes connections.
func awaitPooler(tb testing.TB, at, log string, running *guarded) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := pgx.Connect(ctx, at)
		if err == nil {
			conn.Close(ctx) //nolint:errcheck // it has done what it was for
			return
		}
		select {
		case <-retry.C:
		case <-running.ended:
			text, _ := os.ReadFile(log) // it is there, or says nothing
			tb.Fatalf("PgBouncer ended before it took connections: %s", text)
		case <-ctx.Done():
			tb.Fatalf("PgBouncer takes no connections: %v", err)
		}
	}
}
