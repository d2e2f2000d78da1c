package pgtest_test

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
)

// TestServer has two databases on a server that crashes and comes back.
func TestServer(t *testing.T) {
	s := pgtest.Start(t, pgtest.Config{Durable: true})
	s.Exec(t, s.Database(t), "CREATE TABLE one (n BIGINT)")
	at := s.Database(t)
	s.Exec(t, at, "CREATE TABLE one (n BIGINT)")
	s.Stop(t, true)
	s.Start(t)
	s.Exec(t, at, "INSERT INTO one VALUES (1)")
}
