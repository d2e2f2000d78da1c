package app

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/reeve-scheduler/reeve/internal/backup"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
	"github.com/reeve-scheduler/reeve/internal/trust"
)

// Names under which servers share their secrets, and backups hold them.
const (
	secretCA       = "ca"
	secretProofKey = "proof key"
)

// Place is where a store is: in a database that servers share, or in a data directory.
type Place struct {
	// Store is the database's URL, and PasswordFile holds its password; an empty Store means Dir.
	Store, PasswordFile string
	Dir                 string
}

func (p *Place) postgres() sqlstore.PostgresOptions {
	return sqlstore.PostgresOptions{Options: postgres.Options{URL: p.Store, PasswordFile: p.PasswordFile}}
}

// Backup writes all that a store holds to w, beside the servers that have it open.
func Backup(ctx context.Context, p Place, version string, w io.Writer) (backup.Contents, error) {
	from, err := p.read(ctx, false)
	if err != nil {
		return backup.Contents{}, err
	}
	c, err := backup.Write(ctx, w, from, version)
	return c, errors.Join(err, from.Close())
}

// Restore makes an empty store of a backup. It returns what is in that, and the generation that
// the store begins.
func Restore(ctx context.Context, p Place, r io.Reader) (c backup.Contents, generation uint64, err error) {
	to, err := p.open(ctx)
	if err != nil {
		return c, 0, err
	}
	c, generation, err = backup.Restore(ctx, r, to)
	return c, generation, errors.Join(err, to.Close())
}

// MigrateStore makes an empty store what another is, that no server has open, and leaves that one
// as it was.
func MigrateStore(ctx context.Context, from, to Place) (backup.Contents, error) {
	source, err := from.read(ctx, true)
	if err != nil {
		return backup.Contents{}, err
	}
	target, err := to.open(ctx)
	if err != nil {
		return backup.Contents{}, errors.Join(err, source.Close())
	}
	c, err := backup.Copy(ctx, source, target)
	return c, errors.Join(err, target.Close(), source.Close())
}

// source and target are stores as wholes.
type (
	source interface {
		backup.Dumper
		io.Closer
	}
	target interface {
		store.Archive
		io.Closer
	}
)

// read opens a store that is there; alone refuses one that a server has open.
func (p *Place) read(ctx context.Context, alone bool) (source, error) {
	if p.Store == "" {
		r, err := sqlstore.ReadSQLite(ctx, p.Dir, alone)
		if err != nil {
			return nil, err
		}
		return &dirSource{r, p.Dir}, nil
	}
	r, err := sqlstore.ReadPostgres(ctx, p.postgres())
	if err != nil || !alone {
		return r, err
	}
	led, err := r.Led(ctx)
	if err == nil && led {
		err = errors.New("a server leads on this database; stop all of them first")
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// open opens a store that is to be filled.
func (p *Place) open(ctx context.Context) (target, error) {
	if p.Store != "" {
		return sqlstore.OpenPostgres(ctx, p.postgres())
	}
	s, err := sqlstore.OpenSQLite(ctx, p.Dir, sqlstore.Options{})
	if err != nil {
		return nil, err
	}
	return &dirTarget{dirSource{s, p.Dir}, s}, nil
}

// dirSource is the store of a data directory, with the secrets that stand beside it there.
type dirSource struct {
	source

	dir string
}

// Dump is of backup.Dumper.
func (d *dirSource) Dump(ctx context.Context, to store.Copier) error {
	if err := d.source.Dump(ctx, to); err != nil {
		return err
	}
	// In the order of their names, as everywhere.
	for _, s := range d.secrets() {
		secret, err := s.read()
		if err == nil {
			err = to.Secret(s.name, secret)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the secret %q of %s: %w", s.name, d.dir, err)
		}
	}
	return nil
}

// secretFile is a secret of a data directory.
type secretFile struct {
	name  string
	read  func() ([]byte, error)
	write func([]byte) error
}

func (d *dirSource) secrets() []secretFile {
	ca, key := filepath.Join(d.dir, tlsDir), filepath.Join(d.dir, proofKeyFile)
	return []secretFile{
		{secretCA, func() ([]byte, error) { return trust.CA(ca) }, func(s []byte) error { return trust.PutCA(ca, s) }},
		{secretProofKey, func() ([]byte, error) {
			if _, err := os.Stat(key); err != nil {
				return nil, err
			}
			k, err := proofKey(key)
			return k[:], err
		}, func(s []byte) error { return writeSecret(key, hex.EncodeToString(s)+"\n") }},
	}
}

// dirTarget is a data directory that is to be filled.
type dirTarget struct {
	dirSource

	store *sqlstore.Store
}

// Fill is of store.Archive. The secrets are on disk before the store holds anything.
func (d *dirTarget) Fill(ctx context.Context, from func(store.Copier) error) error {
	return d.store.Fill(ctx, func(to store.Copier) error {
		apart := &secretsApart{Copier: to, secrets: make(map[string][]byte)}
		if err := from(apart); err != nil {
			return err
		}
		for _, s := range d.secrets() {
			secret, ok := apart.secrets[s.name]
			if !ok {
				continue
			}
			delete(apart.secrets, s.name)
			there, err := s.read()
			switch {
			case errors.Is(err, fs.ErrNotExist):
				err = s.write(secret)
			case err == nil && !bytes.Equal(there, secret):
				err = errors.New("another one is there: choose an empty directory")
			}
			if err != nil {
				return fmt.Errorf("the secret %q of %s: %w", s.name, d.dir, err)
			}
		}
		for name := range apart.secrets {
			return fmt.Errorf("a secret is named %q, of which this program knows nothing: use a newer reeve", name)
		}
		return nil
	})
}

// secretsApart keeps secrets back.
type secretsApart struct {
	store.Copier

	secrets map[string][]byte
}

// Secret is of store.Copier.
func (s *secretsApart) Secret(name string, secret []byte) error {
	s.secrets[name] = bytes.Clone(secret)
	return store.CheckSecret(name, secret)
}
