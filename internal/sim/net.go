package sim

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/link"
)

// Directions of a connection.
const (
	toServer = 0
	toWorker = 1
)

// conn is one connection of a worker to a server. In each direction messages arrive
// in order, however late: what a cut holds back comes once it is over, unless the
// connection has ended meanwhile. Its two ends learn of its end apart.
type conn struct {
	w       *world
	n       *node
	via     *server // which was called, and may have sent it on to the one that leads
	number  uint64  // the session's, in the worker's words
	session *session
	// closed: that end has let go of the connection.
	closedByAgent, closedByServer bool
	lanes                         [2]pipe
}

// pipe is one direction.
type pipe struct {
	waiting []func()
	last    time.Duration
	moving  bool
}

// latency draws how long something takes on the way.
func (w *world) latency() time.Duration {
	d := w.between(20*time.Microsecond, w.faults.delay)
	if w.chance(w.faults.slow) {
		w.count("slow message")
		d += w.between(0, 2*time.Second)
	}
	return d
}

// carry plans the arrival of something behind everything sent before it.
func (c *conn) carry(direction int, arrive func()) {
	p := &c.lanes[direction]
	p.waiting = append(p.waiting, arrive)
	if !p.moving {
		c.move(direction)
	}
}

func (c *conn) move(direction int) {
	p := &c.lanes[direction]
	p.moving = true
	at := max(c.w.now+c.w.latency(), p.last)
	p.last = at
	c.w.after(c.w.until(at), func() { c.arrive(direction) })
}

func (c *conn) arrive(direction int) {
	p := &c.lanes[direction]
	if heal := max(c.n.cut[direction], c.n.apart[c.via]); heal > c.w.now {
		c.w.after(c.w.until(heal)+c.w.latency(), func() { c.arrive(direction) })
		return
	}
	first := p.waiting[0]
	p.waiting = p.waiting[1:]
	p.moving = false
	first()
	if len(p.waiting) > 0 && !p.moving {
		c.move(direction)
	}
	if !c.w.healed && c.w.chance(c.w.faults.reset) {
		c.reset()
	}
}

// reset breaks the connection in the middle: both ends learn of it.
func (c *conn) reset() {
	c.w.count("reset")
	c.w.trace("%s: connection %d is reset", c.n.name, c.number)
	c.closeAtServer("reset")
	c.closeAtAgent("reset")
}

// sendUp carries a message to the server.
func (c *conn) sendUp(m link.FromWorker) {
	for range c.w.copies() {
		c.carry(toServer, func() {
			if c.session != nil && !c.closedByServer {
				c.session.receive(m)
			}
		})
	}
}

// sendDown carries a message to the worker.
func (c *conn) sendDown(m link.ToWorker) {
	for range c.w.copies() {
		m := cloneDown(m)
		c.carry(toWorker, func() {
			if !c.closedByAgent {
				c.n.received(c, m)
			}
		})
	}
}

// copies is how often a message comes: what is told again at another level may come
// twice, whatever carries it.
func (w *world) copies() int {
	if !w.chance(w.faults.double) {
		return 1
	}
	w.count("message comes twice")
	return 2
}

// hangUp is the agent closing its end, or dying.
func (c *conn) hangUp() {
	if c.closedByAgent {
		return
	}
	c.closedByAgent = true
	c.carry(toServer, func() { c.closeAtServer("closed by the worker") })
}

// drop is the server closing its end, or dying.
func (c *conn) drop(why string) {
	if c.closedByServer {
		return
	}
	c.closedByServer = true
	c.carry(toWorker, func() { c.closeAtAgent(why) })
}

func (c *conn) closeAtServer(why string) {
	if c.session != nil && !c.closedByServer {
		c.closedByServer = true
		c.session.broken(why)
	}
}

func (c *conn) closeAtAgent(why string) {
	if !c.closedByAgent {
		c.closedByAgent = true
		c.n.disconnected(c, why)
	}
}
