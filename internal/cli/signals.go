package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Exit codes of commands that were ended from outside, as shells have them.
const (
	interruptedCode = 128 + int(syscall.SIGINT)
	brokenPipeCode  = 128 + int(syscall.SIGPIPE)
)

// leftBehind says, when a command is interrupted, what it leaves.
type leftBehind string //nolint:errname // it is what is told, and an error only on its way out

// Error is what is told.
func (l leftBehind) Error() string { return "interrupted; " + string(l) }

// interrupted reports whether an error is what a call comes to when its context is
// cancelled.
func interrupted(err error) bool {
	_, told := errors.AsType[leftBehind](err)
	return told || errors.Is(err, context.Canceled) || job.CodeOf(err) == job.Unavailable
}

// goesOn is the error of an interrupted wait.
func goesOn(ids []string) error {
	if len(ids) == 1 {
		return leftBehind(fmt.Sprintf("job %[1]s goes on (reeve wait %[1]s waits again, reeve cancel %[1]s ends it)", ids[0]))
	}
	return leftBehind(fmt.Sprintf("the jobs go on (reeve wait %[1]s waits again, reeve cancel %[1]s ends them)", strings.Join(ids, " ")))
}

// waiting reads standard input without outliving ctx, whose end no read would see.
func waiting(ctx context.Context, in io.Reader) io.Reader { return &waitingReader{ctx: ctx, in: in} }

type waitingReader struct {
	ctx context.Context //nolint:containedctx // a reader has no other way to be given one
	in  io.Reader
}

// Read reads into a buffer of its own: a read that nobody waits for any more may
// still end.
func (r *waitingReader) Read(p []byte) (int, error) {
	type got struct {
		n   int
		err error
	}
	buf := make([]byte, len(p))
	done := make(chan got, 1)
	go func() {
		n, err := r.in.Read(buf)
		done <- got{n, err}
	}()
	select {
	case g := <-done:
		return copy(p, buf[:g.n]), g.err
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}

// stopWait bounds asking the server to stop a job when the user wants to go.
const stopWait = 5 * time.Second

// foreground is a job that belongs to the command that shows it: interrupts go to
// the job, as they would go to a program.
type foreground struct {
	e       *env
	client  *client.Client
	signals chan os.Signal
	// pipe is there so that a closed pipe is an error of a write, not the end of
	// this program.
	pipe  chan os.Signal
	asked int
}

// inForeground catches interrupts from now on; call end when the job has ended.
func (e *env) inForeground(cl *client.Client) *foreground {
	f := &foreground{e: e, client: cl, signals: make(chan os.Signal, 8), pipe: make(chan os.Signal, 1)}
	signal.Notify(f.signals, os.Interrupt, syscall.SIGTERM)
	signal.Notify(f.pipe, syscall.SIGPIPE)
	return f
}

func (f *foreground) end() {
	signal.Stop(f.signals)
	signal.Stop(f.pipe)
}

// stop does what the next interrupt means: cancel, then kill, then go. It reports
// whether to go. Only a person who repeats Ctrl-C gets to the second: there are
// programs that send SIGTERM twice.
func (f *foreground) stop(ctx context.Context, id string, s os.Signal) bool {
	if f.asked > 0 && s != os.Interrupt {
		return false
	}
	f.asked++
	const second = 2
	if f.asked > second {
		fmt.Fprintf(f.e.err, "reeve: interrupted; job %s is left as it is (reeve show %s)\n", id, id)
		return true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancel()
	kill := f.asked == second
	if _, err := f.client.Cancel(ctx, &client.CancelRequest{Id: id, Kill: kill, Reason: "interrupted"}); err != nil {
		fmt.Fprintf(f.e.err, "reeve: interrupted, but job %s could not be stopped: %v\n", id, err)
		return true
	}
	switch {
	case f.e.Quiet:
	case kill:
		fmt.Fprintf(f.e.err, "reeve: interrupted; killing job %s (Ctrl-C leaves it)\n", id)
	default:
		fmt.Fprintf(f.e.err, "reeve: interrupted; cancelling job %s (Ctrl-C again kills it)\n", id)
	}
	return false
}
