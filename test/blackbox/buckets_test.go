package blackbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/blob/aztest"
	"github.com/reeve-scheduler/reeve/internal/blob/s3test"
)

// TestServersOnABucket keeps logs and artifacts in a bucket alone, and no disk of a leader is
// seen by another: whatever an attempt that has ended wrote is there at the next leader, one that
// runs on goes on where the next leader is, and while the bucket is away jobs end all the same.
func TestServersOnABucket(t *testing.T) {
	t.Parallel()
	bucket := s3test.Start(t)
	onABucket(t, bucket.Bucket(t, "reeve"), s3test.Env(), bucket)
}

// TestServersOnAzure is the same in a container of Azure, but that one is never away: what stands
// for it here has no disk.
func TestServersOnAzure(t *testing.T) {
	t.Parallel()
	onABucket(t, aztest.Start(t).Container(t, "reeve"), aztest.Env(), nil)
}

func onABucket(t *testing.T, address string, keys []string, bucket *s3test.Server) {
	t.Helper()
	v := plainSeveral(t, 2, "--blobs", address)
	v.env = append(v.env, keys...)
	for _, m := range v.members {
		v.begin(m)
	}
	v.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	long := v.submit(l.env() + "\nrun: |\n  echo before\n  " + gated + "\n  echo after\n")
	l.seen(1, "begin", "main")
	logs := map[string]string{}
	run := func(text string) {
		t.Helper()
		id := v.submit("run: |\n  echo " + text + "\n  echo " + text + " > $REEVE_ARTIFACTS/file\n")
		v.ends(id, "succeeded")
		logs[id] = text + "\n"
	}
	check := func(after string) {
		t.Helper()
		for id, text := range logs {
			v.logs(after, id, text)
			if got := v.ok("artifacts", id+".main", "file"); got != text {
				t.Errorf("after %s: the artifact of job %s is %q, want %q", after, id, got, text)
			}
		}
		v.logs(after, long, "before\n")
	}
	run("first")
	check("the start")

	// The worker drops a log once it is in the bucket; what the leader has goes with its disk.
	await(t, "the worker has no log but that of what runs", func() bool { return attemptLogs(t, v.dir) == 1 })
	old, epoch := v.leader()
	old.proc.kill(t)
	if err := os.RemoveAll(filepath.Join(v.dir, old.name)); err != nil {
		t.Fatal(err)
	}
	v.another(epoch)
	check("the leader was killed")
	run("second")
	v.begin(old)

	old, epoch = v.leader()
	if code := old.proc.stop(t); code != 0 {
		t.Errorf("the leader exits with %d", code)
	}
	v.another(epoch)
	check("the leader was stopped")
	v.begin(old)

	if bucket != nil {
		bucket.Stop()
		id := v.submit("run: echo while it was away")
		v.ends(id, "succeeded")
		bucket.Again(t)
		v.logs("the bucket was away", id, "while it was away\n")
		check("the bucket was away")
	}

	l.open("gate")
	v.ends(long, "succeeded")
	v.logs("all", long, "before\nafter\n")
	l.noTwins()
}

// logs waits until the log of a job is what it should be.
func (v *several) logs(after, id, want string) {
	v.t.Helper()
	await(v.t, "after "+after+": the log of job "+id+" is "+want, func() bool { return v.reeve("logs", id).out == want })
}

// attemptLogs counts the logs of attempts that workers below dir have.
func attemptLogs(t *testing.T, dir string) (n int) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() == "log" {
			n++
		}
		return nil // what goes while it is looked at is gone
	})
	return n
}

// TestBucketRefusals are buckets that can't be, with what the server says.
func TestBucketRefusals(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	v := startSeveral(t, 1)
	for _, test := range []struct {
		name, blobs, says string
		env               []string
	}{
		{"no such bucket", server.Address("elsewhere"), "does not exist", s3test.Env()},
		{"another secret", server.Bucket(t, "reeve"), "AWS_ACCESS_KEY_ID", append(s3test.Env(), "AWS_SECRET_ACCESS_KEY=hush-hush")},
		{"keys in the address", "s3://key:hush-hush@bucket/x", "AWS_ACCESS_KEY_ID", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &cluster{t: t, dir: t.TempDir(), env: slices.Concat(v.env, test.env, []string{"REEVE_STORE=" + v.members[0].store})}
			line := c.refused([]string{"server", "--dev", "--listen", "127.0.0.1:0", "--data", filepath.Join(c.dir, "data"), "--blobs", test.blobs}, test.says)
			if strings.Contains(line, "hush") {
				t.Errorf("the error tells a secret: %s", line)
			}
		})
	}
}
