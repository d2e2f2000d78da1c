package reeve

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// LogOptions choose what Logs yields.
type LogOptions struct {
	// Follow goes on as more is written, until what was named has ended.
	Follow bool
	// Tail is only the last lines of each attempt; 0 for all, negative for none but new
	// ones.
	Tail int
	// Since is only what is newer.
	Since time.Time
	// Streams is "stdout", "stderr", or both if empty.
	Streams []string
	// Offset goes on in one attempt's log: LogPiece.Next of an earlier piece.
	Offset int64
}

// LogPiece is a piece of what an attempt wrote.
type LogPiece struct {
	// Attempt is the reference, such as 4217.transform.3@2.
	Attempt string
	// Stream is stdout, stderr, gap (bytes were dropped: Data is their number) or note (of
	// Reeve's own).
	Stream string
	Time   time.Time
	Data   []byte
	// Next is where the next piece begins.
	Next int64
}

// Logs yields what an attempt wrote, or the newest attempts of a job, task or element. A
// connection that is cut is made again and goes on where it was; while following, for as
// long as ctx lasts. An error is the last thing that it yields.
func (c *Client) Logs(ctx context.Context, ref string, o LogOptions) iter.Seq2[LogPiece, error] {
	return func(yield func(LogPiece, error) bool) {
		r := &logReader{stream: stream{c: c, patience: c.patience}, ref: ref, o: o, seen: map[string]int64{}, yield: yield}
		if o.Follow {
			r.patience = forever
		}
		if err := r.run(ctx, func() error { return r.once(ctx) }); err != nil {
			yield(LogPiece{}, err)
		}
	}
}

// logReader is one Logs over all its connections.
type logReader struct {
	stream

	ref   string
	o     LogOptions
	yield func(LogPiece, error) bool
	// seen is how far each attempt was read, last the attempt that the newest piece was of.
	seen map[string]int64
	last string
}

// once reads over one connection. One after the first begins with the rest of the attempt
// that was being read, which may not be its element's newest any more; what else had come
// before is read again and left out.
func (r *logReader) once(ctx context.Context) error {
	o := client.LogOptions{
		Follow: r.o.Follow, Tail: int64(r.o.Tail), Since: client.Time(r.o.Since), Streams: r.o.Streams, Offset: r.o.Offset,
	}
	if r.last != "" {
		o.Tail, o.Offset = 0, r.seen[r.last]
		single := strings.Contains(r.ref, "@")
		rest := o
		rest.Follow = single && o.Follow
		if err := r.c.c.Logs(ctx, r.last, rest, r.take); err != nil || single {
			return err
		}
		o.Offset = 0
	}
	return r.c.c.Logs(ctx, r.ref, o, r.take)
}

func (r *logReader) take(m *client.LogPiece) error {
	r.moved = true
	at := m.GetRef()
	if m.GetNextOffset() <= r.seen[at] {
		return nil
	}
	r.seen[at], r.last = m.GetNextOffset(), at
	if !r.yield(LogPiece{Attempt: at, Stream: m.GetStream(), Time: when(m.GetTime()), Data: m.GetData(), Next: m.GetNextOffset()}, nil) {
		return errEnough
	}
	return nil
}
