package pgtest_test

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
)

// TestServer has two databases on one server, and one server that crashes and comes back.
func TestServer(t *testing.T) {
	shared := pgtest.Shared(t)
	for range 2 {
		shared.Exec(t, shared.Database(t), "CREATE TABLE one (n BIGINT)")
	}
	s := pgtest.Start(t, pgtest.Config{Durable: true})
	at := s.Database(t)
	s.Exec(t, at, "CREATE TABLE one (n BIGINT)")
	s.Stop(t, true)
	s.Start(t)
	s.Exec(t, at, "INSERT INTO one VALUES (1)")
}
