// Package agreement is what the servers that share a database agree on, in PostgreSQL's SQL: who
// leads, who there is, and what only they know.
package agreement

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
)

// The clock of every statement is the database's at the moment when it runs: now() is that of
// the transaction's beginning, which may have waited for another.
const (
	claimLease = `UPDATE {{s}}lease SET holder = ?, address = ?, until = clock_timestamp() + ? * interval '1 microsecond'
WHERE one = 1 AND (holder = ? OR until <= clock_timestamp())`
	yieldLease  = `UPDATE {{s}}lease SET until = clock_timestamp() WHERE one = 1 AND holder = ? AND until > clock_timestamp()`
	selectLease = `SELECT holder, address, CAST(extract(epoch FROM until - clock_timestamp()) * 1000000 AS BIGINT), generation,
CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) FROM {{s}}lease WHERE one = 1`
	raiseLease = `UPDATE {{s}}lease SET generation = ? WHERE one = 1 AND generation < ?`

	meetServer = `INSERT INTO {{s}}servers (id, address, version, format, behind, trouble, seen) VALUES (?, ?, ?, ?, ?, ?, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET address = excluded.address, version = excluded.version, format = excluded.format,
behind = excluded.behind, trouble = excluded.trouble, seen = excluded.seen`
	selectServers = `SELECT id, address, version, format, behind, trouble, CAST(extract(epoch FROM clock_timestamp() - seen) * 1000000 AS BIGINT) FROM {{s}}servers
WHERE seen >= clock_timestamp() - ? * interval '1 microsecond' ORDER BY seen DESC, id LIMIT ?`
	deleteServer = `DELETE FROM {{s}}servers WHERE id = ?`
	// forgetServers drops those that have not been seen for a week.
	forgetServers = `DELETE FROM {{s}}servers WHERE seen < clock_timestamp() - interval '7 days'`

	//nolint:gosec // a statement, not a secret
	insertSecret = InsertSecret + ` ON CONFLICT (name) DO NOTHING`
	selectSecret = `SELECT secret FROM {{s}}secrets WHERE name = ?`
)

// The statements by which all secrets are copied.
const (
	//nolint:gosec // a statement, not a secret
	InsertSecret = `INSERT INTO {{s}}secrets (name, secret) VALUES (?, ?)`
	//nolint:gosec // a statement, not a secret
	SelectSecrets = `SELECT name, secret FROM {{s}}secrets ORDER BY name`
)

// Cluster implements store.Cluster. Each call is a transaction in one round trip, as durable as
// an append: a lease that a failover forgot would have two holders.
type Cluster struct {
	// Run runs statements as one durable transaction, with {{s}} before each table's name, and
	// returns what the last of them did.
	Run func(ctx context.Context, statements ...postgres.Statement) (postgres.Result, error)
}

// run is a statement with its parameters.
func run(text string, args ...any) postgres.Statement {
	return postgres.Statement{Text: text, Args: args}
}

// Claim implements store.Cluster.
func (c *Cluster) Claim(ctx context.Context, holder [16]byte, address string, length time.Duration) (store.Lease, error) {
	if err := store.CheckClaim(holder, address, length); err != nil {
		return store.Lease{}, err
	}
	r, err := c.Run(ctx, run(claimLease, holder[:], address, length.Microseconds(), holder[:]), run(selectLease))
	if err != nil {
		return store.Lease{}, err
	}
	return readLease(r)
}

// Yield implements store.Cluster.
func (c *Cluster) Yield(ctx context.Context, holder [16]byte) error {
	_, err := c.Run(ctx, run(yieldLease, holder[:]))
	return err
}

// Current implements store.Cluster.
func (c *Cluster) Current(ctx context.Context) (store.Lease, error) {
	r, err := c.Run(ctx, run(selectLease))
	if err != nil {
		return store.Lease{}, err
	}
	return readLease(r)
}

// Raise implements store.Cluster.
func (c *Cluster) Raise(ctx context.Context, generation uint64) error {
	_, err := c.Run(ctx, run(raiseLease, int64(generation), int64(generation)))
	return err
}

// Meet implements store.Cluster.
func (c *Cluster) Meet(ctx context.Context, self store.Server, within time.Duration) (there []store.Server, err error) {
	if err := self.Check(); err != nil {
		return nil, err
	}
	r, err := c.Run(ctx, run(meetServer, self.ID[:], self.Address, self.Version, int64(self.Format), self.Behind.Milliseconds(), self.Trouble), run(forgetServers),
		run(selectServers, within.Microseconds(), int64(store.MaxServers)))
	if err != nil {
		return nil, err
	}
	for _, row := range r.Rows {
		s, err := readServer(row)
		if err != nil {
			return nil, err
		}
		there = append(there, s)
	}
	slices.SortFunc(there, func(a, b store.Server) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), slices.Compare(a.ID[:], b.ID[:]))
	})
	return there, nil
}

// readServer reads a row of selectServers.
func readServer(row [][]byte) (s store.Server, err error) {
	if len(row) != 7 || copy(s.ID[:], row[0]) != len(s.ID) || len(row[3]) != 8 || len(row[4]) != 8 || len(row[6]) != 8 {
		return s, fmt.Errorf("%w: the list of servers", store.ErrCorrupt)
	}
	times := func(i int, unit time.Duration) time.Duration {
		return time.Duration(binary.BigEndian.Uint64(row[i])) * unit
	}
	s.Address, s.Version, s.Trouble = string(row[1]), string(row[2]), string(row[5])
	s.Format, s.Behind, s.Ago = binary.BigEndian.Uint64(row[3]), times(4, time.Millisecond), times(6, time.Microsecond)
	return s, nil
}

// Leave implements store.Cluster.
func (c *Cluster) Leave(ctx context.Context, id [16]byte) error {
	_, err := c.Run(ctx, run(deleteServer, id[:]))
	return err
}

// Secret implements store.Cluster.
func (c *Cluster) Secret(ctx context.Context, name string, proposal []byte) ([]byte, error) {
	if err := store.CheckSecret(name, proposal); err != nil {
		return nil, err
	}
	r, err := c.Run(ctx, run(insertSecret, name, proposal), run(selectSecret, name))
	if err != nil {
		return nil, err
	}
	if len(r.Rows) != 1 || len(r.Rows[0][0]) == 0 {
		return nil, fmt.Errorf("%w: the secret %q", store.ErrCorrupt, name)
	}
	return r.Rows[0][0], nil
}

// readLease reads the row of selectLease.
func readLease(r postgres.Result) (l store.Lease, err error) {
	if len(r.Rows) != 1 {
		return l, fmt.Errorf("%w: the lease is not there", store.ErrCorrupt)
	}
	row := r.Rows[0]
	number := func(i int) int64 {
		if len(row[i]) != 8 {
			err = fmt.Errorf("%w: the lease", store.ErrCorrupt)
			return 0
		}
		return int64(binary.BigEndian.Uint64(row[i]))
	}
	l = store.Lease{Address: string(row[1]), Left: time.Duration(number(2)) * time.Microsecond, Generation: uint64(number(3)), Now: number(4)}
	if copy(l.Holder[:], row[0]) != len(l.Holder) {
		return l, fmt.Errorf("%w: the lease", store.ErrCorrupt)
	}
	if l.Holder == ([16]byte{}) {
		l.Left = 0
	}
	return l, err
}
