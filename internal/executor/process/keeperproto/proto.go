// Package keeperproto is the language that an agent and its keeper speak over a
// Unix socket: frames of a fixed-width length and one message each.
//
// The agent says Hello; the keeper answers Welcome, one Held per attempt it keeps,
// and Ready, or Refused. From then on the agent sends requests, each answered by one
// Reply with the same ID, and the keeper reports Started, Wrote and Ended. Every
// request may be repeated after a lost connection: the keeper knows attempts by key.
// Strings are bytes: arguments need not be UTF-8.
package keeperproto

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Version is the version of this language. A keeper outlives its agent, so that
// the two may differ; they talk only when they agree.
const Version = 1

// MaxFrame is the longest message in bytes: more than any argument list that a
// kernel takes.
const MaxFrame = 32 << 20

// ErrDamaged: the bytes are not a message of this version.
var ErrDamaged = errors.New("keeperproto: damaged message")

// Op is what a message says.
type Op uint8

// The messages. Each comment names the fields it carries besides Op.
const (
	// Hello opens a connection: Version.
	Hello Op = 1
	// Start begins an attempt: ID, Task.
	Start Op = 2
	// Renew moves deadlines: ID, Keys, Deadline. Unknown keys are ignored.
	Renew Op = 3
	// Stop ends an attempt: ID, Key, Grace, Cause.
	Stop Op = 4
	// Release forgets an ended attempt: ID, Key.
	Release Op = 5
	// Abandon kills an attempt and forgets it, unreported: ID, Key.
	Abandon Op = 6

	// Welcome answers Hello: Version, Key (the keeper's identity), Code (its pid), Text (About).
	Welcome Op = 16
	// Held lists an attempt: Key, Ref, Text (its directory), At (0 before it started),
	// Exit (nil while it lives).
	Held Op = 17
	// Ready ends the list.
	Ready Op = 18
	// Refused answers a Hello that the keeper can't serve: Version, Text.
	Refused Op = 19
	// Reply answers a request: ID, Code (one of the Code constants), Text.
	Reply Op = 20
	// Started reports a start: Key, At.
	Started Op = 21
	// Wrote reports a longer log: Key.
	Wrote Op = 22
	// Ended reports an end: Key, Exit.
	Ended Op = 23
)

// The codes of a Reply.
const (
	CodeOK      = 0
	CodeUnknown = 1
	CodeRefused = 2
)

// Message is one message; which fields count is said at its Op.
type Message struct {
	Op       Op
	Version  uint64
	ID       uint64
	Key      string
	Keys     []string
	Ref      job.Ref
	Task     executor.Task
	Deadline executor.Deadline
	Grace    time.Duration
	Cause    job.Cause
	// At is a wall time in Unix nanoseconds, 0 for none.
	At   int64
	Exit *executor.Exit
	Code uint64
	Text string
}

// Append appends m as a frame to dst.
func Append(dst []byte, m Message) []byte {
	at := len(dst)
	e := encoder{b: append(dst, 0, 0, 0, 0, byte(m.Op))}
	switch m.Op {
	case Hello:
		e.uint(m.Version)
	case Start:
		e.uint(m.ID)
		e.task(m.Task)
	case Renew:
		e.uint(m.ID)
		e.int(int64(m.Deadline))
		e.strings(m.Keys)
	case Stop:
		e.uint(m.ID)
		e.string(m.Key)
		e.int(int64(m.Grace))
		e.cause(m.Cause)
	case Release, Abandon:
		e.uint(m.ID)
		e.string(m.Key)
	case Welcome:
		e.uint(m.Version)
		e.string(m.Key)
		e.uint(m.Code)
		e.string(m.Text)
	case Held:
		e.string(m.Key)
		e.ref(m.Ref)
		e.string(m.Text)
		e.int(m.At)
		e.exit(m.Exit)
	case Ready:
	case Refused:
		e.uint(m.Version)
		e.string(m.Text)
	case Reply:
		e.uint(m.ID)
		e.uint(m.Code)
		e.string(m.Text)
	case Started:
		e.string(m.Key)
		e.int(m.At)
	case Wrote:
		e.string(m.Key)
	case Ended:
		e.string(m.Key)
		e.exit(m.Exit)
	}
	binary.LittleEndian.PutUint32(e.b[at:], uint32(len(e.b)-at-4))
	return e.b
}

// Parse reads the message in b, which is a frame without its length. The result
// holds copies.
func Parse(b []byte) (Message, error) {
	if len(b) == 0 {
		return Message{}, fmt.Errorf("%w: empty", ErrDamaged)
	}
	m := Message{Op: Op(b[0])}
	d := decoder{b: b[1:]}
	switch m.Op {
	case Hello:
		m.Version = d.uint()
		// What a later version says beyond its number is its own.
		d.b = nil
	case Start:
		m.ID = d.uint()
		m.Task = d.task()
	case Renew:
		m.ID = d.uint()
		m.Deadline = executor.Deadline(d.int())
		m.Keys = d.strings()
	case Stop:
		m.ID, m.Key = d.uint(), d.string()
		m.Grace, m.Cause = time.Duration(d.int()), d.cause()
	case Release, Abandon:
		m.ID, m.Key = d.uint(), d.string()
	case Welcome:
		m.Version, m.Key, m.Code, m.Text = d.uint(), d.string(), d.uint(), d.string()
	case Held:
		m.Key, m.Ref, m.Text, m.At, m.Exit = d.string(), d.ref(), d.string(), d.int(), d.exit()
	case Ready:
	case Refused:
		m.Version, m.Text = d.uint(), d.string()
	case Reply:
		m.ID, m.Code, m.Text = d.uint(), d.uint(), d.string()
	case Started:
		m.Key, m.At = d.string(), d.int()
	case Wrote:
		m.Key = d.string()
	case Ended:
		m.Key, m.Exit = d.string(), d.exit()
	default:
		return Message{}, fmt.Errorf("%w: unknown kind %d", ErrDamaged, m.Op)
	}
	if d.bad || len(d.b) > 0 {
		return Message{}, fmt.Errorf("%w: kind %d with %d bytes", ErrDamaged, m.Op, len(b))
	}
	return m, nil
}

// Reader reads messages from a connection. It is for one goroutine.
type Reader struct {
	r   *bufio.Reader
	buf []byte
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// Next returns the next message, or what Read failed with: io.EOF between frames.
func (r *Reader) Next() (Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return Message{}, err
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	if n > MaxFrame {
		return Message{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrDamaged, n, MaxFrame)
	}
	if cap(r.buf) < n || cap(r.buf) > 1<<20 && n < 1<<16 {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return Message{}, fmt.Errorf("keeperproto: message cut short: %w", err)
	}
	return Parse(r.buf)
}
