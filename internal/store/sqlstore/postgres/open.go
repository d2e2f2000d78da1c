package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Options say where a database is.
type Options struct {
	// URL is postgres://user@host:port,host:port/database?sslmode=… or key=value pairs, with
	// what libpq knows. What it leaves out comes from libpq's environment variables.
	URL string
	// PasswordFile holds the password and nothing else but an end of line. It is read for
	// each connection. Without it the password comes from the URL, PGPASSWORD or the file
	// that PGPASSFILE names.
	PasswordFile string
	// Log is told of warnings of the server. It may be nil.
	Log *slog.Logger
}

const (
	// connectTimeout bounds a connection's beginning to one host, where the URL does not say.
	connectTimeout = 5 * time.Second
	// maxPassword bounds a file with a password, in bytes.
	maxPassword = 4 << 10
)

// Open returns a handle that connects when it is used, to the first host that takes writes. Errors
// about the URL never hold a password.
func Open(o Options) (*sql.DB, error) {
	c, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("the store's URL: %w", badURL(err))
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity, c.DescriptionCacheCapacity = 0, 0
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "reeve"
	}
	if c.ValidateConnect == nil {
		c.ValidateConnect = takesWrites
	}
	c.OnNotice = noticed(o.Log)
	c.DialFunc = dial
	inner := stdlib.GetConnector(*c, stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error {
		if o.PasswordFile == "" {
			return nil
		}
		password, err := readPassword(o.PasswordFile)
		c.Password = password
		return err
	}))
	return sql.OpenDB(connector{inner}), nil
}

// badURL is an error of a URL without the URL, which may hold a password.
func badURL(err error) error {
	var parse *pgconn.ParseConfigError
	if !errors.As(err, &parse) {
		return errors.New("it can't be read")
	}
	// The text after the URL says what is wrong with it; a cause may quote the URL again.
	text := strings.TrimPrefix(parse.Error(), "cannot parse `"+parse.ConnString+"`: ")
	if text == parse.Error() {
		_, text, _ = strings.Cut(text, "`: ")
	}
	text, _, _ = strings.Cut(text, " (")
	if text == "" {
		text = "it can't be read"
	}
	if file, ok := errors.AsType[*fs.PathError](err); ok { // a certificate's
		return fmt.Errorf("%s: %w", text, file)
	}
	return fmt.Errorf("%s: want postgres://user@host:port/database", text)
}

func readPassword(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the store's password: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("the store's password: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" || len(text) > maxPassword || strings.ContainsAny(password, "\x00\r\n") {
		return "", fmt.Errorf("the store's password in %s: want one line of 1 to %d bytes", path, maxPassword)
	}
	return password, nil
}

// connector marks the dialling of connections, and makes one line of why there is none.
type connector struct{ inner driver.Connector }

type dialling struct{}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.inner.Connect(context.WithValue(ctx, dialling{}, true))
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		err = errors.New(err.Error()) // the connection's own time was over, not the caller's
	}
	if err != nil {
		return nil, &connectError{err}
	}
	return conn, nil
}

func (c connector) Driver() driver.Driver { return c.inner.Driver() }

// connectError is why there is no connection.
type connectError struct{ err error }

func (e *connectError) Error() string {
	return strings.Join(strings.Fields(e.err.Error()), " ")
}

func (e *connectError) Unwrap() error { return e.err }

// errNoCancel is what a request to cancel a statement meets.
var errNoCancel = errors.New("statements are not cancelled")

// dial dials for new connections alone. The driver dials, too, to have the statement of a
// connection cancelled that it gives up: see the package's comment.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	if ctx.Value(dialling{}) == nil {
		return nil, errNoCancel
	}
	d := net.Dialer{
		// A server whose machine is gone says nothing: ask whether it is there.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 4},
		Control:         patience,
	}
	return d.DialContext(ctx, network, address)
}

// errReadOnly is what a connection to a server that takes no writes ends with.
var errReadOnly = errors.New("it takes no writes: it is a standby, or is being switched over")

// takesWrites refuses a server that doesn't.
func takesWrites(ctx context.Context, conn *pgconn.PgConn) error {
	r := conn.ExecParams(ctx, "SELECT current_setting('transaction_read_only')", nil, nil, nil, nil).Read()
	if r.Err != nil {
		return r.Err
	}
	if len(r.Rows) == 1 && string(r.Rows[0][0]) == "on" {
		return errReadOnly
	}
	return nil
}
