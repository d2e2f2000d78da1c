// Package stores has the commands that copy whole stores: backup, restore and migrate-store. They
// go to the store itself, not through a server.
package stores

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/app"
	"github.com/reeve-scheduler/reeve/internal/backup"
	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
)

// Commands makes the commands.
type Commands struct {
	// Printer prints what was done, and standard output itself takes a backup that goes there.
	Printer *render.Printer
	In      io.Reader
	Version string
}

// stream is the name of a file that stands for standard input or output.
const stream = "-"

// place adds the flags that say where a store is, and returns what reads them.
func place(c *cobra.Command) func() (app.Place, error) {
	var p app.Place
	f := c.Flags()
	f.StringVar(&p.Dir, "data", "", "a server's data `directory` (default: $XDG_STATE_HOME/reeve/server or ~/.local/state/reeve/server)")
	f.StringVar(&p.Store, "store", "", "the `url` of the PostgreSQL database that servers share (or REEVE_STORE; default: the data directory)")
	f.StringVar(&p.PasswordFile, "store-password-file", "", "a `file` with the password for it (default: PGPASSWORD, or the file that PGPASSFILE names)")
	return func() (_ app.Place, err error) {
		if f.Changed("data") && f.Changed("store") {
			return p, errors.New("--data and --store: a store is in one of the two")
		}
		if !f.Changed("data") {
			p.Store, err = usage.StoreURL(p.Store)
		}
		if p.Dir == "" {
			p.Dir = app.StateDir("server")
		}
		return p, err
	}
}

// Backup is the command backup.
func (s *Commands) Backup() *cobra.Command {
	var verify bool
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Back up a server's store into one file, or check such a file",
		Long: `Back up all that a store holds: jobs, history, queues, tokens, and the secrets by which workers know the
servers. Servers may run meanwhile. The file is a new one; - stands for standard output. Keep it as safe as
the store: who reads it can act as a server.

Logs and artifacts are not in it. Copy their directory after the backup was made: see docs/operations.md.`,
		Example: `  reeve backup --data /var/lib/reeve reeve.backup
  reeve backup --store postgres://reeve@db.example/reeve --store-password-file db.password - | ssh vault 'cat > reeve.backup'
  reeve backup --verify reeve.backup`,
		Args: usage.Count(1, 1),
	}
	where := place(c)
	c.Flags().BoolVar(&verify, "verify", false, "read a backup to its end and say what is in it")
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := where()
		if err != nil {
			return err
		}
		if verify {
			return s.verify(c.Context(), args[0])
		}
		var held backup.Contents
		write := func(w io.Writer) error {
			held, err = app.Backup(c.Context(), p, s.Version, w)
			return err
		}
		if args[0] == stream {
			out := bufio.NewWriter(s.Printer.Out)
			return errors.Join(write(out), out.Flush())
		}
		if err := backup.Save(args[0], write); err != nil {
			return err
		}
		return s.say(held, "backed up %s into %s", brief(&held), args[0])
	}
	return c
}

func (s *Commands) verify(ctx context.Context, file string) error {
	in, err := s.open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	held, err := backup.Check(ctx, in)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return s.say(held, "%s is whole: %s, of %s by reeve %s", file, brief(&held), held.Made.Local().Format("2006-01-02 15:04:05"), held.Version)
}

// Restore is the command restore.
func (s *Commands) Restore() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make an empty store what a backup says it was",
		Long: `Restore a backup into an empty data directory, or a database without a schema "reeve"; - stands for standard
input. All of it becomes the store or nothing does.

What happened after the backup was made is not in it, and the store can't know what. So it begins a generation of its
own: job ids jump far ahead, none is given out twice. Workers that are still there go on with the attempts that the backup
knows, and end those that it does not: both say so in their logs. See docs/operations.md.`,
		Example: `  reeve restore --data /var/lib/reeve reeve.backup
  reeve restore --store postgres://reeve@db.example/reeve --store-password-file db.password reeve.backup`,
		Args: usage.Count(1, 1),
	}
	where := place(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := where()
		if err != nil {
			return err
		}
		in, err := s.open(args[0])
		if err != nil {
			return err
		}
		defer in.Close()
		held, generation, err := app.Restore(c.Context(), p, in)
		if err != nil {
			return fmt.Errorf("restore %s: %w", args[0], err)
		}
		return s.say(held, "restored %s, as of %s; generation %d begins: what happened after that is gone, and no id is given out twice",
			brief(&held), held.Made.Local().Format("2006-01-02 15:04:05"), generation)
	}
	return c
}

// Migrate is the command migrate-store.
func (s *Commands) Migrate() *cobra.Command {
	var dir, database app.Place
	var back bool
	c := &cobra.Command{
		Use:   "migrate-store",
		Short: "Move the store of a data directory into a PostgreSQL database, or back",
		Long: `Copy all that the store of a stopped server holds into an empty database that servers share, compare the two, and leave
the first as it was. It is the same history: ids go on, and what runs on workers goes on. Start the old server no more: from then on
each would have a history of its own. Logs and artifacts are copied apart: see docs/operations.md.`,
		Example: `  reeve migrate-store --data /var/lib/reeve --store postgres://reeve@db.example/reeve --store-password-file db.password`,
		Args:    usage.Count(0, 0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if database.Store, err = usage.StoreURL(database.Store); err != nil {
				return err
			}
			if dir.Dir == "" || database.Store == "" {
				return errors.New("want both --data and --store (or REEVE_STORE): from where, and where to")
			}
			from, to := dir, database
			if back {
				from, to = database, dir
			}
			held, err := app.MigrateStore(c.Context(), from, to)
			if err != nil {
				return err
			}
			return s.say(held, "moved %s: both have the digest %.16s", brief(&held), held.Digest)
		},
	}
	f := c.Flags()
	f.StringVar(&dir.Dir, "data", "", "the server's data `directory`")
	f.StringVar(&database.Store, "store", "", "the `url` of the PostgreSQL database (or REEVE_STORE)")
	f.StringVar(&database.PasswordFile, "store-password-file", "", "a `file` with the password for it (default: PGPASSWORD, or the file that PGPASSFILE names)")
	f.BoolVar(&back, "back", false, "from the database into the data directory")
	return c
}

// open opens a file or standard input.
func (s *Commands) open(file string) (io.ReadCloser, error) {
	if file == stream {
		return io.NopCloser(s.In), nil
	}
	return os.Open(file)
}

// say says what was done, or prints what was copied for a program.
func (s *Commands) say(held backup.Contents, format string, args ...any) error {
	if s.Printer.Structured() {
		return s.Printer.Values(held)
	}
	return s.Printer.Done(nil, format, args...)
}

// brief says what was copied in a few words.
func brief(c *backup.Contents) string {
	return fmt.Sprintf("%s (%d not finished) at sequence %d", render.Plural(c.Jobs, "job"), c.Unfinished, c.Sequence)
}
