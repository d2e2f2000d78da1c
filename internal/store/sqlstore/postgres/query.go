package postgres

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Statement is a statement and its parameters: int64, []byte, string for bytes, or nil for bytes
// that are not there. It says their types, and asks for its rows in binary: what the server makes of
// text is a matter of its settings.
type Statement struct {
	Text string
	Args []any
}

// parameters are a statement's, as they travel.
func (s *Statement) parameters() (values [][]byte, oids []uint32, formats []int16) {
	values, oids = make([][]byte, len(s.Args)), make([]uint32, len(s.Args))
	numbers := make([]byte, 0, 8*len(s.Args))
	for i, a := range s.Args {
		oids[i] = byteaOID
		switch v := a.(type) {
		case int64:
			oids[i] = int8OID
			numbers = binary.BigEndian.AppendUint64(numbers, uint64(v))
			values[i] = numbers[len(numbers)-8:]
		case []byte: // may be large
			values[i] = v
		case string:
			values[i] = []byte(v)
		}
	}
	return values, oids, binaries(len(values))
}

func binaries(n int) []int16 {
	formats := make([]int16, n)
	for i := range formats {
		formats[i] = 1
	}
	return formats
}

// Exec runs a statement and returns how many rows it changed. One without parameters may be
// several, in one message.
func Exec(ctx context.Context, conn *sql.Conn, s Statement) (changed int64, err error) {
	err = raw(conn, func(c *pgx.Conn) error {
		if len(s.Args) == 0 {
			_, err := c.PgConn().Exec(ctx, s.Text).ReadAll()
			return err
		}
		values, oids, formats := s.parameters()
		r := c.PgConn().ExecParams(ctx, s.Text, values, oids, formats, nil).Read()
		changed = r.CommandTag.RowsAffected()
		return r.Err
	})
	return changed, err
}

// Numbers runs statements in one message and returns the integers of the row that the last one
// returns.
func Numbers(ctx context.Context, conn *sql.Conn, text string) (numbers []int64, err error) {
	err = raw(conn, func(c *pgx.Conn) error {
		results, err := c.PgConn().Exec(ctx, text).ReadAll()
		if err != nil {
			return err
		}
		if len(results) == 0 || len(results[len(results)-1].Rows) != 1 {
			return fmt.Errorf("%w: a row is missing that is always there", store.ErrCorrupt)
		}
		for _, column := range results[len(results)-1].Rows[0] {
			n, err := strconv.ParseInt(string(column), 10, 64)
			if err != nil {
				return fmt.Errorf("%w: %.20q where an integer was written", store.ErrCorrupt, column)
			}
			numbers = append(numbers, n)
		}
		return nil
	})
	return numbers, err
}

// Integer is what takes an integer column.
type Integer interface{ SetInt64(v int64) }

// Row is the row of a query that was read last.
type Row struct{ values [][]byte }

// Scan copies the columns to dest: each an Integer, *[]byte, *string, or *sql.RawBytes, which
// points to what is gone with the next row.
func (r *Row) Scan(dest ...any) error {
	if len(dest) != len(r.values) {
		return fmt.Errorf("%d columns where %d were asked for", len(r.values), len(dest))
	}
	for i, v := range r.values {
		switch d := dest[i].(type) {
		case Integer:
			switch len(v) {
			case 8:
				d.SetInt64(int64(binary.BigEndian.Uint64(v)))
			case 4:
				d.SetInt64(int64(int32(binary.BigEndian.Uint32(v))))
			default:
				return fmt.Errorf("%w: %d bytes where an integer was written", store.ErrCorrupt, len(v))
			}
		case *sql.RawBytes:
			*d = v
		case *[]byte:
			*d = slices.Clone(v)
		case *string:
			*d = string(v)
		default:
			return fmt.Errorf("a column is asked for as %T", d)
		}
	}
	return nil
}

// Query runs a statement and hands each row to scan until it returns false or an error.
func Query(ctx context.Context, conn *sql.Conn, s Statement, scan func(*Row) (bool, error)) error {
	return raw(conn, func(c *pgx.Conn) error {
		values, oids, formats := s.parameters()
		rows := c.PgConn().ExecParams(ctx, s.Text, values, oids, formats, []int16{1})
		var failed error
		for more := true; more && failed == nil && rows.NextRow(); {
			more, failed = scan(&Row{rows.Values()})
		}
		_, err := rows.Close() // reads the rest
		if failed != nil {
			return failed
		}
		return err
	})
}

// QueryAlone is Query as a reading transaction of its own, in one round trip.
func QueryAlone(ctx context.Context, conn *sql.Conn, s Statement, scan func(*Row) (bool, error)) error {
	values, oids, formats := s.parameters()
	var batch pgconn.Batch
	batch.ExecParams(ReadSettings(), nil, nil, nil, nil)
	batch.ExecParams(s.Text, values, oids, formats, []int16{1})
	return raw(conn, func(c *pgx.Conn) error {
		results := c.PgConn().ExecBatch(ctx, &batch)
		var failed error
		for n := 0; results.NextResult(); n++ {
			rows := results.ResultReader()
			for more := n == 1; more && failed == nil && rows.NextRow(); {
				more, failed = scan(&Row{rows.Values()})
			}
			_, _ = rows.Close() // reads the rest; the error is that of all
		}
		if err := results.Close(); failed == nil {
			return err
		}
		return failed
	})
}

// Result is what a statement of Together did.
type Result struct {
	// Changed is how many rows it changed.
	Changed int64
	// Rows are those that it returned, each column in PostgreSQL's binary format.
	Rows [][][]byte
}

// Together runs statements in one transaction of their own, in one round trip.
func Together(ctx context.Context, conn *sql.Conn, statements ...Statement) (results []Result, err error) {
	var batch pgconn.Batch
	for _, s := range statements {
		values, oids, formats := s.parameters()
		batch.ExecParams(s.Text, values, oids, formats, []int16{1})
	}
	err = raw(conn, func(c *pgx.Conn) error {
		all, err := c.PgConn().ExecBatch(ctx, &batch).ReadAll()
		for _, r := range all {
			results = append(results, Result{r.CommandTag.RowsAffected(), r.Rows})
		}
		return err
	})
	if err == nil && len(results) != len(statements) {
		err = fmt.Errorf("%d statements had %d results", len(statements), len(results))
	}
	return results, err
}

// idle is how long a transaction may wait for the server that began it to go on, in milliseconds. One
// that has died, or is cut off, would hold its locks, and its place in a pooler, for as long as TCP
// takes to notice: two hours. A transaction that waits has not begun to commit.
const idle = "15000"

// ReadSettings returns the statement that a reading transaction begins with: no timeout ends it while
// it works, and every statement follows an index in its order where there is one. Before it has statistics of a
// table, which is a minute after a million rows have come, the planner believes otherwise.
func ReadSettings() string {
	sets := []string{"set_config('statement_timeout', '0', true)", "set_config('idle_in_transaction_session_timeout', '" + idle + "', true)"}
	for _, way := range []string{"seqscan", "bitmapscan", "sort", "incremental_sort", "hashjoin", "mergejoin"} {
		sets = append(sets, "set_config('enable_"+way+"', 'off', true)")
	}
	return "SELECT " + strings.Join(sets, ", ")
}

// Settings returns the statement that a writing transaction begins with: see the package's
// comment.
func Settings(conn *sql.Conn) (text string, err error) {
	err = raw(conn, func(c *pgx.Conn) error {
		text = `SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)`
		text += ", set_config('idle_in_transaction_session_timeout', '" + idle + "', true)"
		timeouts := []string{"statement_timeout", "lock_timeout"}
		version, _, _ := strings.Cut(c.PgConn().ParameterStatus("server_version"), ".")
		if major, err := strconv.Atoi(version); err == nil && major >= 17 {
			timeouts = append(timeouts, "transaction_timeout")
		}
		for _, t := range timeouts {
			text += ", set_config('" + t + "', '0', true)"
		}
		return nil
	})
	return text, err
}
