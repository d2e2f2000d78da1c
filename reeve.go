package reeve

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/trust"
)

// DefaultAddr is where a server of this machine listens.
const DefaultAddr = "http://127.0.0.1:7420"

// DefaultPatience lets calls outlive a restart of the server.
const DefaultPatience = client.DefaultPatience

// Config says how to reach a server.
type Config struct {
	// Addr is http://host:port or https://host:port, or several of them with commas: any of
	// the servers will do. Default DefaultAddr.
	Addr string
	// Token is the credential. If it is empty, TokenFile names a file that holds it.
	Token, TokenFile string
	// CAFile is the server's certificate authority, a PEM file; default the system's.
	CAFile string
	// Namespace is used where a call or a job names none; default "default".
	Namespace string
	// Patience is how long a call tries again while the server is busy or away; default
	// DefaultPatience, negative for not at all. What follows something, such as Wait, Watch
	// and a worker, is patient for as long as its context is.
	Patience time.Duration
}

// FromEnv reads the variables that the command line reads too: REEVE_ADDR, REEVE_TOKEN,
// REEVE_TOKEN_FILE, REEVE_CA and REEVE_NAMESPACE.
func FromEnv() Config {
	return Config{
		Addr: os.Getenv("REEVE_ADDR"), Token: os.Getenv("REEVE_TOKEN"), TokenFile: os.Getenv("REEVE_TOKEN_FILE"),
		CAFile: os.Getenv("REEVE_CA"), Namespace: os.Getenv("REEVE_NAMESPACE"),
	}
}

// Client is a connection to a server.
type Client struct {
	c         *client.Client
	namespace string
	patience  time.Duration
}

// New returns a client. It reads the files that c names but does not connect yet; Ping
// does.
func New(c Config) (*Client, error) {
	o := client.Options{Address: c.Addr, Token: strings.TrimSpace(c.Token), Patience: c.Patience, UserAgent: "reeve-go"}
	if o.Address == "" {
		o.Address = DefaultAddr
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	if o.Token == "" && c.TokenFile != "" {
		b, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("read the token: %v", err), cause: err}
		}
		o.Token = strings.TrimSpace(string(b))
	}
	o.TLS = func(host string) (*tls.Config, error) {
		return trust.ClientConfig(host, trust.ClientOptions{CAFile: c.CAFile})
	}
	cl, err := client.New(o)
	if err != nil {
		return nil, &Error{Code: CodeInvalid, Message: err.Error(), cause: err}
	}
	return &Client{c: cl, namespace: c.Namespace, patience: o.Patience}, nil
}

// Close ends idle connections. Calls and iterators that are under way go on.
func (c *Client) Close() { c.c.Close() }

// Addr is the server's address as a URL.
func (c *Client) Addr() string { return c.c.Address }

// Ping asks the server who it is: it fails if none answers, or if the token is not good.
func (c *Client) Ping(ctx context.Context) (version string, err error) {
	s, err := c.c.Status(ctx)
	return s.GetVersion(), fail(ctx, err)
}
