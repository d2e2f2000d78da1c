package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
)

// TestFirstTokenOfALaterLeader starts a server beside one that leads and dies before it has made
// the administrator's token.
func TestFirstTokenOfALaterLeader(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, pgtest.Config{}).Database(t)
	other, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{Options: postgres.Options{URL: url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	id := [16]byte{1}
	if _, err := other.Cluster().Claim(t.Context(), id, "https://127.0.0.1:1", time.Hour); err != nil {
		t.Fatal(err)
	}
	r := start(t, ServerConfig{Dir: t.TempDir(), Store: url, Blobs: t.TempDir()})
	file := filepath.Join(r.dir, AdminTokenFile)
	if _, err := os.Stat(file); err == nil {
		t.Fatal("a server that does not lead has made a token")
	}
	if err := other.Cluster().Yield(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !strings.Contains(r.log.String(), "made the administrator's token"); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("no token is made:\n%s", r.log)
		}
	}
	if _, err := r.admin().Status(t.Context()); err != nil {
		t.Error(err)
	}
	r.end()
}

// TestTablesLackNothing: digests, which a server among several writes as time goes by, change no
// table, and so leave nothing behind.
func TestTablesLackNothing(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, pgtest.Config{}).Database(t)
	r := start(t, ServerConfig{Dir: t.TempDir(), Store: url, Blobs: t.TempDir()})
	cl := r.admin()
	r.submit(cl, `run: "true"`)
	beside, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{Options: postgres.Options{URL: url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { beside.Close() })
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		status, err := cl.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last, err := beside.Journal().Read(t.Context(), status.GetSequence(), 1)
		if err != nil || len(last) == 0 {
			t.Fatalf("the journal at %d is %v, %v", status.GetSequence(), last, err)
		}
		events, err := record.DecodeBatch(last[0].Payload)
		if err != nil {
			t.Fatal(err)
		}
		_, digest := events[0].(core.StateDigested)
		if digest && len(events) == 1 && status.GetProjectedSequence() == status.GetSequence() {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the tables cover %d of %d; the last batch is %T", status.GetProjectedSequence(), status.GetSequence(), events[0])
		}
	}
	r.end()
}
