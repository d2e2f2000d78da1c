package peer

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// postgres is a server of a cluster of its own, reached through a socket in its
// directory, with one empty database.
type postgres struct {
	s   *Site
	dir string
	// environment is where clients find it, in the variables that all of them read.
	environment []string
	server      *proc.Process
	pool        *pgxpool.Pool
}

// postgresSettings are those in which it differs from how it comes: memory and log for a machine
// that does nothing else. What is durable stays as it comes, said here so that nobody has to
// know it.
func postgresSettings() []string {
	return []string{
		"fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=4GB", "listen_addresses=",
	}
}

const postgresDatabase = "bench"

// startPostgres makes the cluster if there is none yet, and starts it with an empty
// database.
func (s *Site) startPostgres() (*postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Dir, "postgres")
	p := &postgres{s: s, dir: dir, environment: append(os.Environ(), "PGHOST="+dir, "PGUSER=postgres", "PGDATABASE="+postgresDatabase, "PGSSLMODE=disable")}
	as, err := serviceUser("postgres")
	if err != nil {
		return nil, err
	}
	if err := ownedBy(as, dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir + "/data"); err != nil {
		made := exec.CommandContext(s.Context, bin+"initdb", "-D", dir+"/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
		made.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		made.Dir = dir
		if _, err := proc.Output(made); err != nil {
			return nil, err
		}
	}
	args := []string{"-D", dir + "/data", "-c", "unix_socket_directories=" + dir}
	for _, s := range postgresSettings() {
		args = append(args, "-c", s)
	}
	run := exec.Command(bin+"postgres", args...) //nolint:noctx // it outlives calls, and stop ends it
	run.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	run.Dir = dir
	if p.server, err = proc.Start(s.Dir+"/postgres.log", run); err != nil {
		return nil, err
	}
	if _, err := p.server.Says(s.Context, "ready to accept connections"); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if err := p.empty(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// empty makes the database anew, and opens it.
func (p *postgres) empty() error {
	connect := func(database string) (*pgxpool.Pool, error) {
		c, err := pgxpool.ParseConfig(fmt.Sprintf("host=%s user=postgres dbname=%s sslmode=disable", p.dir, database))
		if err != nil {
			return nil, err
		}
		c.MaxConns = postgresConnections
		return pgxpool.NewWithConfig(p.s.Context, c)
	}
	first, err := connect("postgres")
	if err != nil {
		return err
	}
	defer first.Close()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + postgresDatabase, "CREATE DATABASE " + postgresDatabase, "CHECKPOINT"} {
		if _, err := first.Exec(p.s.Context, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	p.pool, err = connect(postgresDatabase)
	return err
}

// postgresConnections are each program's at most.
const postgresConnections = 20

// settle brings the statistics of a table, of all without a name, up to date and writes what
// is only in memory, as after a while of quiet.
func (p *postgres) settle(table string) error {
	for _, sql := range []string{"VACUUM ANALYZE " + table, "CHECKPOINT"} {
		if _, err := p.pool.Exec(p.s.Context, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// syncs is pg_stat_wal.wal_sync. A session adds what it did now and then, and when it ends:
// where the count must be exact, no session but the asking one may be left.
func (p *postgres) syncs(exact bool) (n int64, err error) {
	if exact {
		p.pool.Reset()
		if err := proc.Await(p.s.Context, pollEvery, func() (bool, error) {
			var others int
			err := p.pool.QueryRow(p.s.Context, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()").Scan(&others)
			return others == 0, err
		}); err != nil {
			return 0, err
		}
	}
	err = p.pool.QueryRow(p.s.Context, "SELECT wal_sync FROM pg_stat_wal").Scan(&n)
	return n, err
}

func (p *postgres) part() proc.Part {
	return proc.Part{Role: proc.Database, PID: p.server.PID(), Reach: proc.WholeTree}
}

func (p *postgres) close() error {
	if p.pool != nil {
		p.pool.Close()
	}
	return p.server.StopBy(syscall.SIGINT) // which ends sessions, too
}

// Postgres is a running server of PostgreSQL with an empty database, for who brings a schema
// of its own: with the settings that all peers have.
type Postgres struct{ pg *postgres }

// StartPostgres starts it. ErrNotInstalled says that it isn't there to be started.
func (s *Site) StartPostgres() (Postgres, error) {
	pg, err := s.startPostgres()
	return Postgres{pg}, err
}

// URL is where its database is.
func (p Postgres) URL() string {
	return "postgres://postgres@/" + postgresDatabase + "?sslmode=disable&host=" + url.QueryEscape(p.pg.dir)
}

// Settle leaves it as after a while of quiet.
func (p Postgres) Settle() error { return p.pg.settle("") }

// Stored is the size of its database in bytes.
func (p Postgres) Stored() (n int64, err error) {
	err = p.pg.pool.QueryRow(p.pg.s.Context, "SELECT pg_database_size(current_database())").Scan(&n)
	return n, err
}

// Part is its processes.
func (p Postgres) Part() proc.Part { return p.pg.part() }

// Close stops it.
func (p Postgres) Close() error {
	if p.pg == nil {
		return nil
	}
	return p.pg.close()
}

// ErrNotInstalled says that a program is not there.
var ErrNotInstalled = errors.New("not installed")

// postgresBin is the folder of its programs, with a slash, or nothing where they are found
// without.
func postgresBin() (string, error) {
	if _, err := exec.LookPath("initdb"); err == nil {
		if _, err := exec.LookPath("postgres"); err == nil {
			return "", nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("PostgreSQL's initdb is %w", ErrNotInstalled)
	}
	return filepath.Dir(found[len(found)-1]) + "/", nil
}

// serviceUser is as whom a server runs that won't as root: nil where nobody is root.
func serviceUser(name string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // no other user
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// ownedBy makes a directory for a user, who must be able to reach it.
func ownedBy(as *syscall.Credential, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil || as == nil {
		return err
	}
	return errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chown(dir, int(as.Uid), int(as.Gid)))
}
