package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Codes of errors (SQLSTATE) that are looked at one by one.
const (
	readOnly     = "25006"
	undefined    = "42P01"
	lockTimeout  = "55P03"
	stoodStill   = "25P03"
	badPassword  = "28P01"
	noLogin      = "28000"
	noDatabase   = "3D000"
	noPermission = "42501"
)

// Classify returns the store's error that err stands for, or nil.
func Classify(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyCode(pg.Code)
	}
	var connect *connectError
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, pgconn.ErrConnClosed):
		return store.ErrUnavailable
	}
	return nil
}

// classifyCode goes by classes: 08 is connections, 53 resources, 57P a server that comes or goes,
// XX001 and XX002 damage. A wrong password or database isn't mended by waiting.
func classifyCode(code string) error {
	switch {
	case strings.HasPrefix(code, "XX00") && code != "XX000":
		return store.ErrCorrupt
	case code == badPassword, code == noLogin, code == noDatabase, code == noPermission:
		return nil
	case code == readOnly, code == stoodStill, strings.HasPrefix(code, "08"), strings.HasPrefix(code, "53"), strings.HasPrefix(code, "57P"):
		return store.ErrUnavailable
	}
	return nil
}

// Gone reports whether err says that a table isn't there.
func Gone(err error) bool { return hasCode(err, undefined) }

// Waited reports whether err says that a lock was not to be had in time.
func Waited(err error) bool { return hasCode(err, lockTimeout) }

// Raced reports whether err says that another session made the same thing at the same time.
func Raced(err error) bool {
	return hasCode(err, "23505") || hasCode(err, "42P06") || hasCode(err, "42P07") || hasCode(err, "XX000")
}

func hasCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}

// doubt is the key under which a connection notes a commit that may stand here alone.
const doubt = "reeve: doubt"

// noticed returns what hears a connection's notices: see the package's comment. The words of the
// warning are in the server's language, so its level and class decide.
func noticed(log *slog.Logger) pgconn.NoticeHandler {
	return func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized != "WARNING" {
			return
		}
		if n.Routine == "SyncRepWaitForLSN" || n.Code == "01000" || strings.HasPrefix(n.Code, "57") {
			conn.CustomData()[doubt] = n.Message
		}
		if log != nil {
			log.Warn("the database warns", "warning", n.Message, "detail", n.Detail, "code", n.Code)
		}
	}
}

// Trust forgets what a connection was warned of.
func Trust(conn *sql.Conn) error {
	return raw(conn, func(c *pgx.Conn) error {
		delete(c.PgConn().CustomData(), doubt)
		return nil
	})
}

// Doubted returns store.ErrUnavailable when a commit since Trust may stand here and on no standby.
func Doubted(conn *sql.Conn) error {
	return raw(conn, func(c *pgx.Conn) error {
		if why, doubted := c.PgConn().CustomData()[doubt]; doubted {
			return fmt.Errorf("%w: it is committed, but perhaps on no standby yet: %s", store.ErrUnavailable, why)
		}
		return nil
	})
}

// Idle reports whether a connection is there and in no transaction.
func Idle(conn *sql.Conn) bool {
	idle := false
	err := raw(conn, func(c *pgx.Conn) error {
		idle = !c.IsClosed() && c.PgConn().TxStatus() == 'I'
		return nil
	})
	return err == nil && idle
}

// Drop ends a connection without a word to the server about what it does.
func Drop(conn *sql.Conn) {
	// The handle takes a bad connection from its owner, and never gives it out again.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // this is what it returns
	_ = conn.Close()                                           // it is closed already
}

// raw hands the driver's own connection to do.
func raw(conn *sql.Conn, do func(c *pgx.Conn) error) error {
	return conn.Raw(func(c any) error { return do(c.(*stdlib.Conn).Conn()) })
}
