package blackbox

import (
	"net"
	"sync"
	"testing"
)

// proxy carries connections to a server and can break them. What it loses or holds it
// loses or holds without a word, as a cable that was pulled.
type proxy struct {
	listener net.Listener

	mu     sync.Mutex
	target string
	pairs  map[*pair]bool
	// changed is closed and replaced whenever what is below changes.
	changed chan struct{}
	// requests and answers say what happens to what goes to the server and comes back.
	requests, answers passage
	// late and lost count bytes that were held, if only for now, and that were dropped.
	late, lost int64
}

// passage is what happens to bytes of one direction.
type passage uint8

const (
	passes passage = iota
	held
	lost
)

// pair is a client's connection and the one to the server that carries it.
type pair struct {
	client, server net.Conn
	// torn: bytes of it were lost, so that it can't go on. forsaken: the client's end is
	// gone, and the server was not told.
	torn, forsaken bool
}

// newProxy listens on a free port until the test ends.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	return newProxyAt(t, "127.0.0.1", target)
}

func newProxyAt(t *testing.T, host, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, pairs: map[*pair]bool{}, changed: make(chan struct{})}
	t.Cleanup(func() {
		l.Close()
		p.release()
		p.cut()
	})
	go p.accept()
	return p
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		out, err := net.Dial("tcp", target)
		if err != nil {
			in.Close()
			continue
		}
		c := &pair{client: in, server: out}
		p.mu.Lock()
		p.pairs[c] = true
		p.mu.Unlock()
		go p.copy(c, out, in, &p.requests)
		go p.copy(c, in, out, &p.answers)
	}
}

// copy passes bytes on until either end is gone; then both are.
func (p *proxy) copy(c *pair, to, from net.Conn, way *passage) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && p.pass(c, n, way) {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			p.mu.Lock()
			quiet := c.forsaken && from == c.client
			p.mu.Unlock()
			if quiet {
				return // the other direction ends it
			}
			break
		}
	}
	c.client.Close()
	c.server.Close()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// pass waits while bytes are held and says whether they are to go on.
func (p *proxy) pass(c *pair, n int, way *passage) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for first := true; ; first = false {
		switch {
		case c.torn || c.forsaken:
			p.lost += int64(n)
			return false
		case *way == passes:
			return true
		case *way == lost:
			c.torn = true
			p.lost += int64(n)
			return false
		}
		if first {
			p.late += int64(n)
		}
		changed := p.changed
		p.mu.Unlock()
		<-changed
		p.mu.Lock()
	}
}

// set says what happens to each direction from now on.
func (p *proxy) set(requests, answers passage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.answers = requests, answers
	close(p.changed)
	p.changed = make(chan struct{})
}

// lead carries connections elsewhere from now on, and ends those there are.
func (p *proxy) lead(target string) {
	p.mu.Lock()
	p.target = target
	p.mu.Unlock()
	p.cut()
}

// cut ends every connection there is, and says how many.
func (p *proxy) cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.pairs)
	for c := range p.pairs {
		c.client.Close()
		c.server.Close()
	}
	return n
}

// hold lets nothing through until release.
func (p *proxy) hold() { p.set(held, held) }

// release ends a hold or a loss: what was held goes through late, and connections that
// have lost something are ended.
func (p *proxy) release() {
	p.set(passes, passes)
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		if c.torn {
			c.client.Close()
			c.server.Close()
		}
	}
}

// forsake ends the clients' halves of all connections and leaves the server with its own,
// on which nothing comes any more. It says how many there were.
func (p *proxy) forsake() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for c := range p.pairs {
		if !c.forsaken {
			c.forsaken = true
			c.client.Close()
			n++
		}
	}
	return n
}

// drop ends a hold by losing all that was held, with its connections, as if both ends had
// been without power.
func (p *proxy) drop() {
	p.mu.Lock()
	for c := range p.pairs {
		c.torn = true
	}
	p.mu.Unlock()
	p.release()
}

// traffic is how many bytes were held and how many were lost so far.
func (p *proxy) traffic() (late, lost int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.late, p.lost
}
