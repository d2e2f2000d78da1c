package keeper

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/process/keeperproto"
)

// BenchmarkTrue starts /bin/true in a keeper inside this process, four at once,
// without an agent's part: what the keeper itself costs. Compare with os/exec in
// package process.
func BenchmarkTrue(b *testing.B) {
	k, err := New("bench", time.Hour, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	go k.starter("bench:")
	go k.collector()
	go k.timers()
	go k.serve(l)
	defer func() {
		close(k.over)
		l.Close()
		k.fence.close()
	}()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	in := keeperproto.NewReader(conn)
	next := 0
	more := func(buf []byte) []byte {
		if next == b.N {
			return buf
		}
		next++
		key := fmt.Sprintf("k%d", next)
		return keeperproto.Append(buf, keeperproto.Message{Op: keeperproto.Start, Task: executor.Task{
			Key: key, Dir: "/nonexistent", Work: "/", Argv: []string{"/bin/true"}, Deadline: executor.Now().Add(time.Hour),
		}})
	}
	b.ReportAllocs()
	b.ResetTimer()
	buf := keeperproto.Append(nil, keeperproto.Message{Op: keeperproto.Hello, Version: keeperproto.Version})
	for range 4 {
		buf = more(buf)
	}
	for done := 0; done < b.N; {
		if len(buf) > 0 {
			if _, err := conn.Write(buf); err != nil {
				b.Fatal(err)
			}
			buf = buf[:0]
		}
		m, err := in.Next()
		if err != nil {
			b.Fatal(err)
		}
		if m.Op == keeperproto.Ended {
			done++
			buf = keeperproto.Append(buf, keeperproto.Message{Op: keeperproto.Release, Key: m.Key})
			buf = more(buf)
		}
	}
}
