package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/blob/cloudblob"
	"github.com/reeve-scheduler/reeve/internal/forward"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/member"
	"github.com/reeve-scheduler/reeve/internal/metrics"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
)

// seenFile is where a server that is one of several keeps what it has seen of history.
const seenFile = "seen.json"

const (
	// handOverTimeout bounds how long a server that stops waits until it leads no more.
	handOverTimeout = 5 * time.Second
	// standTimeout bounds how long one that starts waits until it knows how it stands.
	standTimeout = 30 * time.Second
	// maxStoreWait is the longest pause between two tries to reach a database at the start.
	maxStoreWait = 5 * time.Second
)

// checkStore refuses a shared store without what the servers must share beside it.
func (c *ServerConfig) checkStore() error {
	switch {
	case c.Store == "" && (c.PasswordFile != "" || c.Blobs != ""):
		return errors.New("--store-password-file and --blobs are for servers that share a database: give --store, too")
	case c.Store == "":
		return nil
	case !strings.HasPrefix(c.Store, "postgres://") && !strings.HasPrefix(c.Store, "postgresql://"):
		return errors.New("--store: want the URL of a PostgreSQL database, such as postgres://reeve@db.example:5432/reeve")
	case c.Blobs == "":
		return errors.New("servers that share a database keep logs and artifacts where all of them can: name the place with --blobs")
	case cloudblob.IsAddress(c.Blobs): // before the server waits for its database
		if _, err := cloudblob.Open(c.Blobs); err != nil {
			return fmt.Errorf("--blobs: %w", err)
		}
	}
	return nil
}

// openStore opens the shared database, and waits for one that can't be reached yet, or the
// store in the data directory.
func (s *server) openStore(ctx context.Context) (err error) {
	c := &s.config
	span := part(c.Retention, minSpan, maxSpan)
	if c.Store == "" {
		if err := checkDir(c.Dir); err != nil {
			return err
		}
		s.store, err = sqlstore.OpenSQLite(ctx, c.Dir, sqlstore.Options{Span: span})
		return err
	}
	if sqlstore.Begun(c.Dir) {
		return fmt.Errorf("data directory %s: it holds the store of a server that is alone; choose another one for this server", c.Dir)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	o := sqlstore.PostgresOptions{Options: postgres.Options{URL: c.Store, PasswordFile: c.PasswordFile, Log: c.Log}, Span: span}
	return c.reached(ctx, func() error {
		s.store, err = sqlstore.OpenPostgres(ctx, o)
		return err
	})
}

// reached does what needs the database, again until it can be reached.
func (c *ServerConfig) reached(ctx context.Context, do func() error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, maxStoreWait) {
		err := do()
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		c.Log.Warn("the database can't be reached; trying again", "in", wait, "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// share returns what agrees with the other servers on a secret, nil for a server that has
// none beside it.
func (s *server) share(ctx context.Context, name string) func([]byte) ([]byte, error) {
	cluster := s.store.Cluster()
	if cluster == nil {
		return nil
	}
	return func(own []byte) (common []byte, err error) {
		err = s.config.reached(ctx, func() error {
			common, err = cluster.Secret(ctx, name, own)
			return err
		})
		return common, err
	}
}

func (s *server) openProofKey(ctx context.Context) (err error) {
	file := filepath.Join(s.config.Dir, proofKeyFile)
	if share := s.share(ctx, secretProofKey); share != nil {
		s.proofKey, err = sharedKey(file, share)
		return err
	}
	s.proofKey, err = proofKey(file)
	return err
}

// openMember makes this server one of several.
func (s *server) openMember() error {
	self := store.Server{Address: s.scheme() + s.advertised()[0], Version: s.config.Version, Format: record.Newest}
	_, _ = rand.Read(self.ID[:]) // never fails: crypto/rand ends the program instead
	m, err := member.New(member.Options{
		Settings: s.settings, Journal: s.store.Journal(), Tables: s.store.Tables(), Cluster: s.store.Cluster(), Outbox: s.sessions,
		Self: self, SeenFile: filepath.Join(s.config.Dir, seenFile), Led: s.led, Deposed: s.deposed, Reach: reach, Log: s.config.Log,
	})
	if err != nil {
		return err
	}
	s.member, s.engine, s.chief, s.run, s.full = m, m, m, m.Run, m.Full
	vitals := m.Vitals
	s.vital.Store(&vitals)
	stands := func() metrics.Standing {
		now := m.Standing()
		return metrics.Standing{Leads: now.Leads, Able: now.Able, Servers: len(now.Servers), Behind: now.Behind, Differed: now.Differed}
	}
	s.stands.Store(&stands)
	return nil
}

// reach dials another server.
func reach(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (s *server) scheme() string {
	if s.config.Dev {
		return "http://"
	}
	return "https://"
}

// advertised is host:port of where others reach this server, or several of which one will do.
func (s *server) advertised() []string {
	addresses := slices.Clone(s.config.Advertise)
	if len(addresses) == 0 {
		addresses = s.addresses()
	}
	if s.member == nil {
		return addresses
	}
	const most = 8
	for _, other := range s.member.Standing().Servers {
		address := strings.TrimPrefix(other.Address, s.scheme())
		if len(addresses) < most && !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// forward returns what sends calls on to the leader; nil for a server that is alone.
func (s *server) forward() func(http.Handler, func(http.ResponseWriter, *http.Request, error)) http.Handler {
	if s.member == nil {
		return nil
	}
	transport := forward.NewTransport(s.peers)
	return func(inner http.Handler, fail func(http.ResponseWriter, *http.Request, error)) http.Handler {
		return forward.New(forward.Options{
			Inner: inner, Fail: fail, Transport: transport, Anywhere: guard.Anywhere(), Changed: s.member.Changed, Log: s.config.Log,
			Standing: func() forward.Standing {
				now := s.member.Standing()
				out := forward.Standing{Leads: now.Leads, Able: now.Able, Leader: now.Leader}
				for _, other := range now.Servers {
					out.Servers = append(out.Servers, other.Address)
				}
				return out
			},
		})
	}
}

// servers lists those that share the store: this one alone, where it has one for itself.
func (s *server) servers(ctx context.Context) (member.Peers, error) {
	if s.member != nil {
		return s.member.Peers(ctx)
	}
	return member.Peers{{Server: store.Server{Address: s.url(), Version: s.config.Version, Format: record.Newest}, Leads: true}}, nil
}

// begin does what comes first when the server runs: the first administrator's token, where it
// leads. Where another does, that one may die before it has made it: see beginLater.
func (s *server) begin(ctx context.Context) (led bool, err error) {
	if s.member == nil {
		return true, s.firstToken(ctx)
	}
	waiting, cancel := context.WithTimeout(ctx, standTimeout)
	defer cancel()
	for {
		changed := s.member.Changed()
		switch now := s.member.Standing(); {
		case now.Leads:
			err := s.firstToken(waiting)
			if err == nil || s.member.Standing().Leads {
				return true, err
			}
		case now.Able && now.Leader != "":
			return false, nil
		}
		select {
		case <-changed:
		case <-waiting.Done():
			return false, nil // it says itself what it waits for
		}
	}
}

// beginLater makes the first administrator's token when the server leads for the first time, if
// there is none then, or ctx has ended.
func (s *server) beginLater(ctx context.Context) {
	for {
		changed := s.member.Changed()
		if s.member.Standing().Leads {
			err := s.firstToken(ctx)
			if err == nil {
				return
			}
			if ctx.Err() == nil {
				s.config.Log.Warn("the administrator's token can't be made; trying again when this server leads again", "error", err)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// handOver gives the lease to another server before this one stops to answer.
func (s *server) handOver(ctx context.Context) {
	if s.member == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTimeout)
	defer cancel()
	s.member.Resign(ctx)
}
