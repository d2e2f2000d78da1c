package sqlstore

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
	"github.com/reeve-scheduler/reeve/internal/store/storetest"
)

func TestPostgresConformance(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{})
	storetest.Run(t, func(t *testing.T) storetest.Opened { return sharing(t, server.Database(t)) })
}

// connected opens a store in a database of PostgreSQL that the test closes, unless it is closed before.
func connected(t testing.TB, url string) *Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), PostgresOptions{Options: postgres.Options{URL: url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.journal.db.closed:
		default:
			s.Close()
		}
	})
	return s
}

func sharing(t *testing.T, url string) storetest.Opened {
	s := connected(t, url)
	s.tables.scan = 37
	again := func(t *testing.T) storetest.Opened { return sharing(t, url) }
	return storetest.Opened{
		Journal: s.Journal(), Tables: s.Tables(), History: s.History(), Cluster: s.Cluster(),
		Reopen: func(t *testing.T) storetest.Opened {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return again(t)
		},
		Crash: again,
	}
}
