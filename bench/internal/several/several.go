// Package several is a few servers of Reeve that share a database, with many workers: it lets
// the leader fail, and says how long others had to wait for the next.
package several

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/trust"
)

const (
	// Workers is how many there are, each with so many Slots.
	Workers, Slots = 50, 2
	// pollEvery is how often something is looked for that is not measured.
	pollEvery = 20 * time.Millisecond
	// readPatience is how long a call to one server is tried again.
	readPatience = 5 * time.Second
)

// Place is where they run.
type Place struct {
	Context context.Context
	// Dir holds what they write; Binary is the program, Store the URL of their empty database.
	Dir, Binary, Store string
}

// Cluster is running servers and workers.
type Cluster struct {
	Place

	servers []*server
	workers *proc.Process
	// started is the file in which workers note when attempts began.
	started string
	// addresses are of all servers, with commas.
	addresses, tokenFile, caFile string
	// users is a client as users have it.
	users *reeve.Client
}

// server is one of them; its process is nil while it does not run.
type server struct {
	listen, data, log, admin string
	process                  *proc.Process
	// only is a client that knows no other server until this one names them.
	only *client.Client
}

// Start starts n servers and then the workers, and returns when all are there.
func Start(p Place, n int) (*Cluster, error) {
	c := &Cluster{Place: p, started: p.Dir + "/started"}
	return c, c.start(n)
}

func (c *Cluster) start(n int) (err error) {
	for i := range n {
		s := &server{data: fmt.Sprintf("%s/server%d", c.Dir, i+1)}
		s.log = s.data + ".log"
		if s.listen, err = freeAddress(); err != nil {
			return err
		}
		c.servers = append(c.servers, s)
		c.addresses += ",https://" + s.listen
	}
	c.addresses = c.addresses[1:]
	c.tokenFile, c.caFile = c.servers[0].data+"/admin.token", c.servers[0].data+"/tls/ca.crt"
	for _, s := range c.servers {
		if err := c.begin(s); err != nil {
			return err
		}
	}
	if c.users, err = reeve.New(reeve.Config{Addr: c.addresses, TokenFile: c.tokenFile, CAFile: c.caFile}); err != nil {
		return err
	}
	environment := append(os.Environ(), "REEVE_ADDR="+c.addresses, "REEVE_TOKEN_FILE="+c.tokenFile, "REEVE_CA="+c.caFile)
	if c.workers, err = proc.StartSelf(c.Context, c.Dir+"/workers.log", environment, WorkersCommand, c.started); err != nil {
		return err
	}
	return errors.Join(c.workers.Tell(proc.GoOn), c.settled())
}

// freeAddress is one at which nothing listens: a server keeps its own when it is started again.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it only asks the system for a number
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// begin starts a server, and returns when it answers.
func (c *Cluster) begin(s *server) (err error) {
	s.process, err = proc.Start(s.log, exec.Command(c.Binary, "server", "--data", s.data, "--listen", s.listen, "--advertise", s.listen, //nolint:noctx // it outlives calls, and Close ends it
		"--store", c.Store, "--blobs", c.Dir+"/blobs", "--admin", "127.0.0.1:0"))
	if err != nil {
		return err
	}
	profiles, err := s.process.Says(c.Context, `profiles=(http://\S+/debug/pprof/)`)
	if err != nil {
		return err
	}
	s.admin = strings.TrimSuffix(profiles, "debug/pprof/")
	if _, err := s.process.Says(c.Context, `REEVE_ADDR=(\S+)`); err != nil {
		return err
	}
	token, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return err
	}
	s.only, err = client.New(client.Options{
		Address: "https://" + s.listen, Token: strings.TrimSpace(string(token)), Patience: readPatience, UserAgent: "reeve-bench",
		TLS: func(host string) (*tls.Config, error) {
			return trust.ClientConfig(host, trust.ClientOptions{CAFile: c.caFile})
		},
	})
	return err
}

// settled returns when every server that there is runs and follows, and every worker is there.
func (c *Cluster) settled() error {
	ctx, cancel := context.WithTimeout(c.Context, proc.Patience)
	defer cancel()
	return proc.Await(ctx, pollEvery, func() (bool, error) {
		leader, err := c.leader()
		if leader == nil || err != nil {
			return false, err
		}
		status, err := leader.only.Status(ctx)
		if err != nil {
			return false, err
		}
		known, err := leader.metric(ctx, "reeve_servers")
		if err != nil || status.GetWorkers() != Workers || known != float64(len(c.servers)) {
			return false, err
		}
		for _, s := range c.servers {
			able, err := s.metric(ctx, "reeve_server_able")
			if err != nil || able != 1 {
				return false, err
			}
		}
		return true, nil
	})
}

// leader is the server that leads, nil for none.
func (c *Cluster) leader() (*server, error) {
	for _, s := range c.servers {
		if s.process == nil {
			continue
		}
		leads, err := s.metric(c.Context, "reeve_server_leads")
		if err != nil {
			return nil, err
		}
		if leads == 1 {
			return s, nil
		}
	}
	return nil, nil
}

// follower is a server that does not lead.
func (c *Cluster) follower() (*server, error) {
	leader, err := c.leader()
	if err != nil {
		return nil, err
	}
	for _, s := range c.servers {
		if s != leader && s.process != nil {
			return s, nil
		}
	}
	return nil, errors.New("no server follows")
}

// metric is what a server counts under a name without labels.
func (s *server) metric(ctx context.Context, name string) (float64, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, s.admin+"metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the server does not count %s", name)
}

var leadingLine = regexp.MustCompile(`(?m)^time=(\S+) level=INFO msg=leading `)

// leads is when a server began to lead last, as it says itself, and whether that was after some
// moment.
func (s *server) leads(after time.Time) (at time.Time, later bool, err error) {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return at, false, err
	}
	all := leadingLine.FindAllSubmatch(text, -1)
	if len(all) == 0 {
		return at, false, nil
	}
	at, err = time.Parse(time.RFC3339, string(all[len(all)-1][1]))
	return at, at.After(after), err
}

// Close stops everything.
func (c *Cluster) Close() error {
	err := c.workers.Stop()
	for _, s := range c.servers {
		err = errors.Join(err, s.process.Stop())
	}
	if c.users != nil {
		c.users.Close()
	}
	return err
}
