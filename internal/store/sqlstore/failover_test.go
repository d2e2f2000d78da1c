package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/schema"
	"github.com/reeve-scheduler/reeve/internal/store/storetest"
)

func TestPoolerConformance(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{})
	through := server.PgBouncer(t)
	storetest.Run(t, func(t *testing.T) storetest.Opened { return sharing(t, through(server.Database(t))) })
}

// insist appends a batch until its outcome is known, and returns how often that took.
func insist(t *testing.T, s *Store, b store.Batch) (tries int) {
	t.Helper()
	for {
		tries++
		err := s.Journal().Append(t.Context(), b)
		if err == nil {
			return tries
		}
		if t.Context().Err() != nil || errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrRefused) || errors.Is(err, store.ErrBroken) {
			t.Fatalf("batch %d: %v", b.Seq, err)
		}
	}
}

// holds compares the journal with batches 1 to last of numbered.
func holds(t *testing.T, s *Store, last uint64) {
	t.Helper()
	for next := uint64(1); next <= last; {
		batches, err := s.Journal().Read(t.Context(), next, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(batches) == 0 {
			t.Fatalf("the journal ends before %d, want %d", next, last)
		}
		for i := range batches {
			if batches[i].Seq != next || batches[i].ID != numbered(next, 1).ID {
				t.Fatalf("batch %d stands where %d should", batches[i].Seq, next)
			}
			next++
		}
	}
	if m, err := s.Journal().Last(t.Context()); err != nil || m.Seq != last {
		t.Fatalf("the last batch is %d (%v), want %d", m.Seq, err, last)
	}
}

// TestConnectionsLost appends while the server's sessions are ended, killed, and all of it
// crashes: each batch stands once, in its place.
func TestConnectionsLost(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{})
	url := server.Database(t)
	s := connected(t, url)
	const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
	seq, tries := uint64(0), 0
	write := func() {
		t.Helper()
		seq++
		tries += insist(t, s, numbered(seq, 1000))
		f := store.Flush{Seq: seq, ID: numbered(seq, 1).ID}
		for s.Tables().Flush(t.Context(), &f) != nil && t.Context().Err() == nil {
			tries++
		}
	}
	write()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 30 {
			server.Exec(t, url, end)
		}
	}()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
			write()
		}
	}
	write() // on connections that will stay
	write()
	for range 3 {
		pid := 0
		err := s.journal.db.write(t.Context(), func(ctx context.Context, w *session) error {
			return w.conn.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		write()
	}
	server.Stop(t, true)
	if err := s.Journal().Append(t.Context(), numbered(seq+1, 1)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("append to a server that is not there: %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := s.Journal().Last(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("read of a server that is not there: %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := s.Cluster().Current(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("lease of a server that is not there: %v, want %v", err, store.ErrUnavailable)
	}
	server.Start(t)
	insist(t, s, numbered(seq, 1000)) // the same again
	write()
	t.Logf("%d batches in %d tries", seq, tries)
	holds(t, s, seq)
}

// TestTwoWriters has two servers append at each sequence at once: one stands, the other is
// fenced.
func TestTwoWriters(t *testing.T) {
	url := pgtest.Start(t, pgtest.Config{}).Database(t)
	stores := []*Store{connected(t, url), connected(t, url)}
	prev := [16]byte{}
	for seq := uint64(1); seq <= 100; seq++ {
		batches := make([]store.Batch, len(stores))
		errs := make([]error, len(stores))
		var wg sync.WaitGroup
		for i, s := range stores {
			batches[i] = store.Batch{Seq: seq, Epoch: uint64(i), Prev: prev, Payload: []byte{byte(i)}}
			batches[i].ID[0], batches[i].ID[1], batches[i].ID[2] = byte(i), byte(seq), 1
			wg.Go(func() { errs[i] = s.Journal().Append(t.Context(), batches[i]) })
		}
		wg.Wait()
		won := 0
		if errs[0] != nil {
			won = 1
		}
		if errs[won] != nil || !errors.Is(errs[1-won], store.ErrFenced) {
			t.Fatalf("at %d: %v and %v, want one and %v", seq, errs[0], errs[1], store.ErrFenced)
		}
		prev = batches[won].ID
		if err := stores[won].Tables().Flush(t.Context(), &store.Flush{Seq: seq, ID: prev}); err != nil {
			t.Fatal(err)
		}
		lost := store.Flush{Seq: seq, ID: batches[1-won].ID}
		if err := stores[1-won].Tables().Flush(t.Context(), &lost); !errors.Is(err, store.ErrFenced) {
			t.Fatalf("a flush of what lost: %v, want %v", err, store.ErrFenced)
		}
	}
}

// TestRoleSettings holds that no setting of a role or database makes a commit worth less, or
// ends it.
func TestRoleSettings(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{})
	url := server.Database(t)
	name := url[strings.LastIndex(url, "/")+1 : strings.LastIndex(url, "?")]
	for _, set := range []string{
		"statement_timeout = '100ms'", "lock_timeout = '100ms'", "idle_in_transaction_session_timeout = '100ms'",
		"synchronous_commit = off", "search_path = nowhere", "default_transaction_isolation = 'serializable'",
		"bytea_output = escape", "DateStyle = German", "TimeZone = 'Asia/Kathmandu'", "standard_conforming_strings = off",
	} {
		server.Exec(t, url, "ALTER DATABASE "+name+" SET "+set)
	}
	s := connected(t, url)
	err := s.journal.db.write(t.Context(), func(ctx context.Context, w *session) error {
		results, err := w.together(ctx, postgres.Statement{Text: "SELECT pg_sleep(0.3)"},
			postgres.Statement{Text: "SELECT current_setting('synchronous_commit'), current_setting('idle_in_transaction_session_timeout')"})
		if err == nil && string(results[1].Rows[0][0]) != "on" {
			t.Errorf("an append commits with synchronous_commit %s", results[1].Rows[0][0])
		}
		if err == nil && string(results[1].Rows[0][1]) != "15s" {
			t.Errorf("the transaction of a server that stands still is ended after %s, want 15s", results[1].Rows[0][1])
		}
		return err
	})
	if err != nil {
		t.Errorf("an append of 300 ms: %v", err)
	}
	slow := func(ctx context.Context, w *session) error {
		_, err := w.exec(ctx, statement{text: "SELECT pg_sleep(0.3)"}, 0)
		return err
	}
	err = s.tables.db.write(t.Context(), func(ctx context.Context, w *session) error {
		return w.transact(ctx, w.db.d.beginWrite, func() error { return slow(ctx, w) })
	})
	if err != nil {
		t.Errorf("a flush of 300 ms: %v", err)
	}
	if err := s.tables.db.read(t.Context(), slow); err != nil {
		t.Errorf("a read of 300 ms: %v", err)
	}
	insist(t, s, numbered(1, 10))
	begun, _ := benchFlush(1, 1, 100, true)
	begun.ID = numbered(1, 1).ID
	if err := s.Tables().Flush(t.Context(), &begun); err != nil {
		t.Fatal(err)
	}
	var c counting
	if _, err := s.Tables().Load(t.Context(), &c); err != nil || c.jobs != 100 {
		t.Errorf("%d jobs are loaded (%v), want 100", c.jobs, err)
	}
	if _, err := s.Cluster().Claim(t.Context(), [16]byte{1}, "https://1", 1e9); err != nil {
		t.Error(err)
	}
}

// TestStandby has a commit's wait for the standby cancelled: it is confirmed only once it
// stands there, too, which the promoted standby proves.
func TestStandby(t *testing.T) {
	primary := pgtest.Start(t, pgtest.Config{Durable: true})
	url := primary.Database(t)
	standby := primary.Standby(t)
	primary.Exec(t, url, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
	primary.Exec(t, url, "SELECT pg_reload_conf()")
	both := strings.Replace(url, fmt.Sprintf("127.0.0.1:%d", primary.Port()), fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", standby.Port(), primary.Port()), 1)
	s, other := connected(t, both), connected(t, both)
	insist(t, s, numbered(1, 100))

	_, err := OpenPostgres(t.Context(), PostgresOptions{Options: postgres.Options{
		URL: strings.Replace(url, fmt.Sprint(primary.Port()), fmt.Sprint(standby.Port()), 1),
	}})
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "it takes no writes") {
		t.Errorf("a standby is opened: %v, want %v with the reason", err, store.ErrUnavailable)
	}

	standby.Stop(t, false)
	outcome := make(chan error, 1)
	appends := func() { outcome <- s.Journal().Append(t.Context(), numbered(2, 100)) }
	// ask asks about the commits that wait, until there are some.
	ask := func(what string) {
		t.Helper()
		for n := 0; n == 0 && t.Context().Err() == nil; {
			err := other.tables.db.look(t.Context(), func(ctx context.Context, w *session) error {
				return w.conn.QueryRowContext(ctx, "SELECT count("+what+") FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&n)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 { // the append, and the repeat that finds the batch
		go appends()
		ask("pg_cancel_backend(pid)")
		if err := <-outcome; !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "perhaps on no standby") {
			t.Fatalf("an append that did not wait for its standby: %v, want %v", err, store.ErrUnavailable)
		}
	}
	if m, err := other.Journal().Last(t.Context()); err != nil || m.Seq != 2 {
		t.Errorf("the last batch is %d (%v), want 2, which stands here alone", m.Seq, err)
	}
	// Whoever gives up waiting leaves the commit to wait.
	ctx, giveUp := context.WithCancel(t.Context())
	go func() { outcome <- s.Journal().Append(ctx, numbered(2, 100)) }()
	ask("pid")
	giveUp()
	if err := <-outcome; !errors.Is(err, context.Canceled) {
		t.Errorf("an append that was given up: %v, want %v", err, context.Canceled)
	}
	ask("pid")
	go appends()
	standby.Start(t)
	if err := <-outcome; err != nil {
		t.Fatal(err)
	}
	primary.Stop(t, true)
	standby.Promote(t)
	standby.Exec(t, standby.URL("postgres"), "ALTER SYSTEM RESET synchronous_standby_names")
	standby.Exec(t, standby.URL("postgres"), "SELECT pg_reload_conf()")
	insist(t, s, numbered(3, 100))
	holds(t, s, 3)
}

// TestSilentDatabase opens a database that takes connections and says nothing.
func TestSilentDatabase(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, err = OpenPostgres(t.Context(), PostgresOptions{Options: postgres.Options{
		URL: fmt.Sprintf("postgres://postgres@%s/reeve?sslmode=disable&connect_timeout=1", l.Addr()),
	}})
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want %v, and no word of a deadline that nobody has set", err, store.ErrUnavailable)
	}
}

// TestSecretsStaySecret looks for passwords in errors.
func TestSecretsStaySecret(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{})
	url := server.Database(t)
	guarded := strings.Replace(url, "postgres@", pgtest.Guarded+"@", 1)
	open := func(o postgres.Options) error {
		s, err := OpenPostgres(t.Context(), PostgresOptions{Options: o})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	file := filepath.Join(t.TempDir(), "password")
	for text, good := range map[string]bool{pgtest.Password() + "\n": true, pgtest.Password(): true, "hunter2": false, "": false, "a\nb": false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(postgres.Options{URL: guarded, PasswordFile: file}); (err == nil) != good {
			t.Errorf("with the password %q: %v", text, err)
		}
	}
	t.Setenv("PGPASSWORD", pgtest.Password())
	if err := open(postgres.Options{URL: guarded}); err != nil {
		t.Errorf("with the password in the environment: %v", err)
	}
	for _, bad := range []string{
		strings.Replace(guarded, "@", ":hunter2@", 1),
		"postgres://user:hunter2@host:port/db", "postgres://user:hunter2@[::1/db", "host=h password=hunter2 port=x",
		"host=h password='hunter2", "postgres://u:hunter2@127.0.0.1:1/db?sslmode=nonsense", "postgres://u:hunter2@127.0.0.1:1/db?connect_timeout=x",
		"postgres://u:hunter2@127.0.0.1:1/db?sslrootcert=/nowhere", "postgres://u:hun%ter2@127.0.0.1:1/db", "hunter2", "",
		"postgres://u:hunter2@127.0.0.1:1/db?target_session_attrs=no",
	} {
		t.Run("", func(t *testing.T) {
			t.Setenv("PGHOST", "127.0.0.1")
			t.Setenv("PGPORT", "1")
			err := open(postgres.Options{URL: bad})
			if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: error %v, want one line without the password", bad, err)
			}
			t.Log(err)
		})
	}
}

// TestServersStartAtOnce on an empty database, and on one whose schema is newer.
func TestServersStartAtOnce(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{})
	url := server.Database(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := OpenPostgres(t.Context(), PostgresOptions{Options: postgres.Options{URL: url}})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	server.Exec(t, url, "INSERT INTO reeve.schema_versions (version, name, min_version) VALUES (101, 'adds something', 1)")
	connected(t, url)
	server.Exec(t, url, "INSERT INTO reeve.schema_versions (version, name, min_version) VALUES (102, 'takes something away', 101)")
	_, err := OpenPostgres(t.Context(), PostgresOptions{Options: postgres.Options{URL: url}})
	if err == nil || !strings.Contains(err.Error(), "use a newer reeve") {
		t.Errorf("a schema for newer programs is opened: %v", err)
	}
}

// TestSharedSteps grows the schema under servers that are at work: one of those that start at
// once applies a step, one that fails changes nothing, and who was there before goes on.
func TestSharedSteps(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{})
	url := server.Database(t)
	before := connected(t, url)
	known, err := schema.Read(schema.Files(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	grown := fstest.MapFS{}
	for _, st := range known {
		grown["postgres/"+st.Name] = &fstest.MapFile{Data: []byte(st.Text)}
	}
	next := func(more int, name, text string) {
		grown[fmt.Sprintf("postgres/%04d_%s.sql", len(known)+more, name)] = &fstest.MapFile{Data: []byte(text)}
	}
	next(1, "more", "-- oldest: 1\nALTER TABLE reeve.objects ADD COLUMN more BYTEA; INSERT INTO reeve.secrets VALUES ('step', 'two')")
	var wg sync.WaitGroup
	for range 4 {
		s := connected(t, url)
		wg.Go(func() {
			if err := s.journal.db.migrateShared(t.Context(), grown); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	insist(t, before, numbered(1, 10))
	f := store.Flush{Seq: 1, Objects: []store.ObjectRow{{Kind: 1, Key: "k", Changed: 1, Blob: []byte("state")}}}
	if err := before.Tables().Flush(t.Context(), &f); err != nil {
		t.Errorf("a flush of the version before: %v", err)
	}
	next(2, "bad", fmt.Sprintf("-- oldest: %d\nDROP TABLE reeve.meta; SELECT 1/0", len(known)+2))
	if err := before.journal.db.migrateShared(t.Context(), grown); err == nil || !strings.Contains(err.Error(), "_bad.sql") {
		t.Errorf("a bad step: %v, want an error that names it", err)
	}
	var c counting
	if _, err := before.Tables().Load(t.Context(), &c); err != nil {
		t.Errorf("after a step that failed: %v", err)
	}
	connected(t, url) // a server of the version before still starts
}

// TestRetainBesideReader drops a partition while somebody reads it: neither the reader nor a
// flush waits, and it goes once nobody does.
func TestRetainBesideReader(t *testing.T) {
	s := connected(t, pgtest.Start(t, pgtest.Config{}).Database(t))
	insist(t, s, numbered(1, 10))
	insist(t, s, numbered(2, 10))
	begun, over := benchFlush(1, 1, 10, false)
	for _, f := range []*store.Flush{&begun, &over} {
		if err := s.Tables().Flush(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	late := over.Jobs[0].KeepUntil + 1
	reading := slowLoader{during: func() error {
		n, err := retainAt(t, s, late)
		if n != 0 {
			t.Errorf("%d jobs are dropped under a reader", n)
		}
		return errors.Join(err, s.Tables().Flush(t.Context(), &store.Flush{Seq: 2, Objects: []store.ObjectRow{{Kind: 2, Key: "b"}}}))
	}}
	if err := s.Tables().Flush(t.Context(), &store.Flush{Seq: 2, Objects: []store.ObjectRow{{Kind: 1, Key: "\x00\xff"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tables().Load(t.Context(), &reading); err != nil {
		t.Fatal(err)
	}
	if n, err := retainAt(t, s, late); n != 10 || err != nil {
		t.Errorf("%d jobs are dropped (%v), want 10", n, err)
	}
}

// slowLoader does something else at the first object.
type slowLoader struct {
	counting

	during func() error
}

func (l *slowLoader) Object(store.ObjectRow) error {
	during := l.during
	l.during = nil
	if during == nil {
		return nil
	}
	return during()
}

func retainAt(t *testing.T, s *Store, ms int64) (int, error) {
	t.Helper()
	return s.Tables().Retain(t.Context(), time.UnixMilli(ms), nil)
}

// TestKeysOfTwoServers has two servers flush in turn: what one knows of keys is worth nothing
// after the other has written.
func TestKeysOfTwoServers(t *testing.T) {
	url := pgtest.Start(t, pgtest.Config{}).Database(t)
	stores := []*Store{connected(t, url), connected(t, url)}
	written := uint64(0)
	for seq := uint64(1); seq <= 6; seq++ {
		s := stores[seq%2]
		insist(t, s, numbered(seq, 10))
		keyed(t, s, seq, written+1, 1000, int64(seq)*86_400_000)
		written += 1000
		for i, s := range stores {
			if got := found(t, s, written); got != int(written) {
				t.Errorf("after flush %d server %d finds %d keys, want %d", seq, i, got, written)
			}
			s.tables.keys.Learners.Wait()
		}
	}
}

// TestTLS asks for it as psql does.
func TestTLS(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{TLS: true})
	url := server.Database(t)
	for mode, good := range map[string]bool{
		"require": true, "verify-full&sslrootcert=" + server.Certificate(): true, "verify-ca&sslrootcert=" + server.Certificate(): true,
		"verify-full": false, "verify-full&sslrootcert=/nowhere/ca.crt": false,
	} {
		s, err := OpenPostgres(t.Context(), PostgresOptions{Options: postgres.Options{URL: strings.Replace(url, "sslmode=disable", "sslmode="+mode, 1)}})
		if (err == nil) != good {
			t.Errorf("sslmode=%s: %v", mode, err)
		}
		if err != nil {
			t.Log(err)
			continue
		}
		var ssl bool
		err = s.journal.db.look(t.Context(), func(ctx context.Context, r *session) error {
			return r.conn.QueryRowContext(ctx, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&ssl)
		})
		if err := errors.Join(err, s.Close()); err != nil || !ssl {
			t.Errorf("sslmode=%s: TLS %t (%v)", mode, ssl, err)
		}
	}
}
