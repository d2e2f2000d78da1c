package process_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
)

// starts is how many processes are alive at once in the benchmarks.
const starts = 4

// releaser is an executor.Events that passes ended attempts on.
type releaser struct{ ended chan string }

func (r *releaser) Started(string, time.Time)         {}
func (r *releaser) Wrote(string)                      {}
func (r *releaser) Ended(key string, _ executor.Exit) { r.ended <- key }

// BenchmarkTrue starts /bin/true through the keeper, from Start to the end of
// Release, to be compared with BenchmarkBareExec. It writes nothing and runs in /,
// so that no directory is made.
func BenchmarkTrue(b *testing.B) {
	for _, mode := range modes {
		b.Run(mode.name, func(b *testing.B) {
			r := &releaser{ended: make(chan string, starts)}
			root := stateDir(b)
			ex := open(b, root, r, mode.env)
			slots := make(chan struct{}, starts)
			var done sync.WaitGroup
			done.Go(func() {
				for range b.N {
					key := <-r.ended
					<-slots
					done.Go(func() {
						if err := ex.Release(ctx, key); err != nil {
							b.Error(err)
						}
					})
				}
			})
			agent, keeper := cpu(os.Getpid()), cpu(ex.KeeperPID())
			b.ResetTimer()
			for i := range b.N {
				slots <- struct{}{}
				key := fmt.Sprintf("k%d", i)
				t := executor.Task{
					Key: key, Dir: filepath.Join(root, key), Work: "/", Argv: []string{"/bin/true"}, Env: []string{"A=1"},
					Grace: time.Second, Timeout: time.Minute, Deadline: executor.Now().Add(time.Minute),
				}
				if err := ex.Start(ctx, t); err != nil {
					b.Fatal(err)
				}
			}
			done.Wait()
			perOp := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(b.N) }
			b.ReportMetric(perOp(cpu(os.Getpid())-agent), "agent-µs/op")
			b.ReportMetric(perOp(cpu(ex.KeeperPID())-keeper), "keeper-µs/op")
		})
	}
}

// cpu is what a process has used, its children not counted; 0 where there is no /proc.
func cpu(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	user, _ := strconv.Atoi(string(fields[11]))
	system, _ := strconv.Atoi(string(fields[12]))
	// The kernel counts in hundredths of a second, everywhere that Go runs.
	return time.Duration(user+system) * 10 * time.Millisecond
}

// BenchmarkBareExec is os/exec with both outputs read, in this process.
func BenchmarkBareExec(b *testing.B) {
	slots := make(chan struct{}, starts)
	before := cpu(os.Getpid())
	var done sync.WaitGroup
	for range b.N {
		slots <- struct{}{}
		done.Go(func() {
			defer func() { <-slots }()
			cmd := exec.Command("/bin/true")
			cmd.Env, cmd.Dir = []string{"A=1"}, "/"
			if _, err := cmd.CombinedOutput(); err != nil {
				b.Error(err)
			}
		})
	}
	done.Wait()
	b.ReportMetric(float64((cpu(os.Getpid())-before).Microseconds())/float64(b.N), "agent-µs/op")
}
