package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// memStore is a store in memory that fails on cue.
type memStore struct {
	mu sync.Mutex
	// fail is the errors that the next calls return.
	fail      []error
	calls     int
	artifacts map[string][]byte // by path, all of one element
	refs      map[string]job.Ref
	outputs   string
	blob      string
	put       map[string]string
}

func (m *memStore) next() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if len(m.fail) == 0 {
		return nil
	}
	err := m.fail[0]
	m.fail = m.fail[1:]
	return err
}

func (m *memStore) PutArtifact(_ context.Context, of link.Claim, path string, from io.Reader) error {
	b, err := io.ReadAll(from)
	if err := errors.Join(err, m.next()); err != nil {
		return err
	}
	if m.put == nil {
		m.put = map[string]string{}
	}
	m.put[fmt.Sprintf("%s %d %s", of.Ref, of.Fence, path)] = string(b)
	return nil
}

func (m *memStore) ListArtifacts(_ context.Context, _ job.Ref) ([]Artifact, error) {
	if err := m.next(); err != nil {
		return nil, err
	}
	var list []Artifact
	for path, b := range m.artifacts {
		list = append(list, Artifact{Ref: m.refs[path], Path: path, Size: int64(len(b))})
	}
	return list, nil
}

func (m *memStore) GetArtifact(_ context.Context, _ job.Ref, path string, to io.Writer) error {
	b := m.artifacts[path]
	if err := m.next(); err != nil {
		_, err2 := to.Write(b[:len(b)/2]) // a torn transfer
		return errors.Join(err, err2)
	}
	_, err := to.Write(b)
	return err
}

func (m *memStore) Outputs(_ context.Context, _ job.Ref, to io.Writer) error {
	if err := m.next(); err != nil {
		return err
	}
	_, err := io.WriteString(to, m.outputs)
	return err
}

func (m *memStore) FetchBlob(_ context.Context, key string, to io.Writer) error {
	if err := m.next(); err != nil {
		_, err2 := io.WriteString(to, m.blob[:len(m.blob)/2])
		return errors.Join(err, err2)
	}
	if key == "missing" {
		return &job.Error{Code: job.NotFound, Message: "no such blob"}
	}
	// In pieces, so that lines are cut anywhere.
	for _, piece := range strings.SplitAfter(m.blob, "1") {
		if _, err := io.WriteString(to, piece); err != nil {
			return err
		}
	}
	return nil
}

func newSpace(t *testing.T, store *memStore) (*Space, string) {
	t.Helper()
	root := t.TempDir()
	for _, d := range []string{AttemptsDir, BlobsDir, SparesDir} {
		if err := os.Mkdir(filepath.Join(root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return New(Config{
		Worker: "w1", Env: map[string]string{"PATH": "/bin", "LANG": "C"}, Store: store,
		Root:   func() (string, error) { return root, nil },
		Limits: Limits{ArtifactFiles: 3, ArtifactBytes: 1000, InputFiles: 3, InputBytes: 1000},
		Retry:  time.Second, Wall: func() int64 { return 1_000_000 }, Log: slog.New(slog.DiscardHandler),
	}), root
}

// assignment is of the first task of a spec.
func assignment(spec *job.Spec) *link.Assignment {
	return &link.Assignment{
		Fence: 159, Job: 4217, Namespace: "prod", Index: job.NoIndex, Attempt: 2, Spec: spec,
	}
}

func TestProcessTask(t *testing.T) {
	s, root := newSpace(t, &memStore{})
	w := assignment(&job.Spec{
		Name: "nightly", Env: map[string]string{"A": "job", "B": "job", "REEVE_TASK": "forged"},
		Files: map[string]job.File{"shared": {Content: "s"}, "over": {Content: "job"}},
		Tasks: []job.Task{{
			Name: "main", Command: []string{"echo", "day ${{ params.day }}", "$HOME", "a b"},
			Env: map[string]string{"B": "${{ params.day }}", "PATH": "/opt"}, Stdin: "in",
			Files:     map[string]job.File{"over": {Content: "task"}, "bin/x": {Base64: []byte{0, 255}, Mode: 0o755}},
			Resources: job.Resources{CPU: 500, Memory: 1 << 20}, Timeout: job.Duration(10 * time.Second),
			Grace: job.Duration(time.Second), LogLimit: 1, Retry: job.Retry{MaxAttempts: 3},
		}},
	})
	w.Params, w.JobDeadline = []byte(`{"day":"mon"}`), 5_000_000
	task, cause := s.Prepare(context.Background(), "k", w)
	if cause != (job.Cause{}) {
		t.Fatal(cause)
	}
	dir := filepath.Join(root, AttemptsDir, "k")
	want := []string{"echo", "day mon", "$HOME", "a b"}
	if !slices.Equal(task.Argv, want) || task.Dir != dir || task.Work != dir+"/work" || task.Stdin != dir+"/stdin" ||
		task.LogLimit != 64<<10 || task.Grace != time.Second || task.Timeout != 10*time.Second {
		t.Errorf("task: %+v", task)
	}
	wantEnv := []string{
		"A=job", "B=mon", "LANG=C", "PATH=/opt", "REEVE_ARTIFACTS=" + dir + "/artifacts", "REEVE_ATTEMPT=2", "REEVE_CPUS=0.5",
		"REEVE_DEADLINE=1970-01-01T00:16:50Z", "REEVE_FENCE=159", "REEVE_FILES=" + dir + "/work", "REEVE_INPUTS=" + dir + "/inputs",
		"REEVE_JOB_ID=4217", "REEVE_JOB_NAME=nightly", "REEVE_MAX_ATTEMPTS=3", "REEVE_MEMORY=1048576", "REEVE_NAMESPACE=prod",
		"REEVE_OUTPUT=" + dir + "/output", "REEVE_RETRY=1", "REEVE_TASK=main", "REEVE_WORKER=w1", "REEVE_WORK_DIR=" + dir + "/work",
		"TMPDIR=" + dir + "/tmp",
	}
	if diff := cmp.Diff(wantEnv, task.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{"work/shared": "s", "work/over": "task", "work/bin/x": "\x00\xff", "stdin": "in"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if info, err := os.Stat(dir + "/work/bin/x"); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode: %v %v", info, err)
	}
	if err := s.Remove("k"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
}

// TestResourceEnv: what an attempt was given it finds in its environment, whatever the job says
// of these variables, and whether it is a process or a function.
func TestResourceEnv(t *testing.T) {
	s, _ := newSpace(t, &memStore{})
	asks := job.Resources{CPU: 2000, Other: job.AmountsOf(map[string]int64{
		job.Disk: 10e9, job.Bandwidth: 100e6, job.GPU: 2, "licence-pro": 3, "fpga": 1, "tape": 1,
	})}
	want := []string{
		"CUDA_VISIBLE_DEVICES=GPU-1,GPU-2", "NVIDIA_VISIBLE_DEVICES=GPU-1,GPU-2", "REEVE_BANDWIDTH=100000000", "REEVE_CPUS=2", "REEVE_DEVICES_FPGA=x",
		"REEVE_DISK=10000000000", "REEVE_GPUS=GPU-1,GPU-2", "REEVE_RESOURCE_FPGA=1", "REEVE_RESOURCE_GPU=2", "REEVE_RESOURCE_LICENCE_PRO=3", "REEVE_RESOURCE_TAPE=1",
	}
	env := map[string]string{"CUDA_VISIBLE_DEVICES": "all", "REEVE_GPUS": "all"}
	for _, task := range []job.Task{{Name: "m", Command: []string{"x"}, Env: env, Resources: asks}, {Name: "f", Function: "f", Env: env, Resources: asks}} {
		w := assignment(&job.Spec{Name: "j", Tasks: []job.Task{task}})
		w.Devices = w.Devices.Set(job.GPU, []string{"GPU-1", "GPU-2"}).Set("fpga", []string{"x"})
		got, cause := s.Prepare(context.Background(), "k"+task.Name, w)
		if cause != (job.Cause{}) {
			t.Fatal(cause)
		}
		all := got.Env
		if got.Environ != nil {
			all = got.Environ()
		}
		last := map[string]string{}
		for _, v := range all {
			k, v, _ := strings.Cut(v, "=")
			for _, about := range []string{"DEVICES", "REEVE_BANDWIDTH", "REEVE_CPUS", "REEVE_DISK", "REEVE_GPUS", "REEVE_RESOURCE"} {
				if strings.Contains(k, about) {
					last[k] = v // later ones win
				}
			}
		}
		if diff := cmp.Diff(want, flat(last)); diff != "" {
			t.Errorf("task %s (-want +got):\n%s", task.Name, diff)
		}
	}
}

func TestScriptAndWorkdir(t *testing.T) {
	s, root := newSpace(t, &memStore{})
	w := assignment(&job.Spec{Name: "j", Tasks: []job.Task{{Name: "m", Run: "echo $1\n", Shell: []string{"/bin/sh", "-e"}, Workdir: "sub/dir"}}})
	task, cause := s.Prepare(context.Background(), "k", w)
	dir := filepath.Join(root, AttemptsDir, "k")
	if cause != (job.Cause{}) || !slices.Equal(task.Argv, []string{"/bin/sh", "-e", dir + "/script"}) || task.Work != dir+"/work/sub/dir" {
		t.Errorf("task: %+v, %v", task, cause)
	}
	if b, err := os.ReadFile(dir + "/script"); string(b) != "echo $1\n" {
		t.Errorf("script: %q %v", b, err)
	}
	if info, err := os.Stat(task.Work); err != nil || !info.IsDir() {
		t.Errorf("work directory: %v", err)
	}
	w.Spec.Tasks[0].Workdir = "/srv"
	if task, _ = s.Prepare(context.Background(), "k2", w); task.Work != "/srv" {
		t.Errorf("work directory: %s", task.Work)
	}
}

func TestArrayEnvironment(t *testing.T) {
	s, _ := newSpace(t, &memStore{})
	w := assignment(&job.Spec{Name: "j", Tasks: []job.Task{{
		Name: "m", Command: []string{"x", "${{ array.item }}", "${{ array.index }}"}, Array: &job.Array{Items: []string{"a", "b c"}},
	}}})
	w.Index, w.Position, w.Count, w.First, w.Last = 1, 1, 2, 0, 1
	task, cause := s.Prepare(context.Background(), "k", w)
	if cause != (job.Cause{}) || !slices.Equal(task.Argv, []string{"x", "b c", "1"}) {
		t.Errorf("argv %q, %v", task.Argv, cause)
	}
	for _, v := range []string{"REEVE_ARRAY_INDEX=1", "REEVE_ARRAY_MIN=0", "REEVE_ARRAY_MAX=1", "REEVE_ARRAY_COUNT=2", "REEVE_ITEM=b c"} {
		if !slices.Contains(task.Env, v) {
			t.Errorf("no %s in %q", v, task.Env)
		}
	}
	// The item in the assignment goes before the spec's.
	w.HasItem, w.Item = true, "sent"
	if task, _ = s.Prepare(context.Background(), "k2", w); task.Argv[1] != "sent" {
		t.Errorf("item: %q", task.Argv[1])
	}
}

func TestFunctionTask(t *testing.T) {
	s, root := newSpace(t, &memStore{})
	w := assignment(&job.Spec{Name: "j", Env: map[string]string{"K": "v"}, Tasks: []job.Task{{Name: "m", Function: "f", Input: []byte(`{"a":1}`)}}})
	task, cause := s.Function("k", w)
	if cause != (job.Cause{}) || task.Function != "f" || string(task.Payload) != `{"a":1}` || task.Dir != root+"/attempts/k" {
		t.Errorf("task: %+v, %v", task, cause)
	}
	if env := task.Environ(); !slices.Contains(env, "K=v") || !slices.Contains(env, "REEVE_FENCE=159") || task.Fence != 159 {
		t.Errorf("fence %d, environment: %q", task.Fence, env)
	}
	if _, err := os.Stat(task.Dir); err == nil {
		t.Error("a plain function got a directory")
	}
	w.Payload = []byte(`2`)
	if task, _ = s.Function("k", w); string(task.Payload) != "2" {
		t.Errorf("payload: %s", task.Payload)
	}
	w.Payload, w.Spec.Tasks[0].Input, w.HasItem, w.Item = nil, nil, true, "it\"em"
	if task, _ = s.Function("k", w); string(task.Payload) != `"it\"em"` {
		t.Errorf("payload: %s", task.Payload)
	}
}

func TestPrepareFailures(t *testing.T) {
	for name, c := range map[string]struct {
		task job.Task
		kind job.CauseKind
		part string
	}{
		"expression":     {job.Task{Command: []string{"${{ params.nope }}"}}, job.CauseExpression, "command[0]"},
		"env expression": {job.Task{Command: []string{"x"}, Env: map[string]string{"A": "${{ tasks.x.outputs.y }}"}}, job.CauseExpression, "env.A"},
		"zero byte":      {job.Task{Command: []string{"x\x00y"}}, job.CauseStart, "zero byte"},
		"escape":         {job.Task{Command: []string{"x"}, Files: map[string]job.File{"../../../etc/x": {}}}, job.CauseStart, "../../../etc/x"},
		"absolute":       {job.Task{Command: []string{"x"}, Files: map[string]job.File{"/etc/x": {}}}, job.CauseStart, "/etc/x"},
		"no item":        {job.Task{Command: []string{"x"}, Array: &job.Array{Blob: "missing", Count: 3}}, job.CauseRejected, "no such blob"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newSpace(t, &memStore{})
			c.task.Name = "m"
			_, cause := s.Prepare(context.Background(), "k", assignment(&job.Spec{Name: "j", Tasks: []job.Task{c.task}}))
			if cause.Kind != c.kind || !strings.Contains(cause.Detail, c.part) {
				t.Errorf("cause %v, want kind %d with %q", cause, c.kind, c.part)
			}
		})
	}
}

func TestFetchLimitsAndRetries(t *testing.T) {
	fetching := func() *link.Assignment {
		return assignment(&job.Spec{Name: "j", Tasks: []job.Task{{Name: "m", Command: []string{"x"}, Fetch: []string{"src"}, Needs: []job.Need{{Task: "src"}}}}})
	}
	src := job.Ref{Job: 4217, Task: "src", Index: job.NoIndex}
	t.Run("again after failures", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			lost := errors.New("connection lost")
			store := &memStore{
				artifacts: map[string][]byte{"d/f": []byte("0123456789")}, refs: map[string]job.Ref{"d/f": src},
				outputs: "{}\n", fail: []error{lost, lost, nil, lost, nil, lost},
			}
			s, root := newSpace(t, store)
			if _, cause := s.Prepare(t.Context(), "k", fetching()); cause != (job.Cause{}) {
				t.Fatal(cause)
			}
			b, err := os.ReadFile(filepath.Join(root, AttemptsDir, "k/inputs/src/d/f"))
			if string(b) != "0123456789" {
				t.Errorf("%q, %v", b, err)
			}
			b, err = os.ReadFile(filepath.Join(root, AttemptsDir, "k/inputs/src/outputs.jsonl"))
			if string(b) != "{}\n" {
				t.Errorf("%q, %v", b, err)
			}
		})
	})
	t.Run("gives up when told", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			store := &memStore{fail: slices.Repeat([]error{errors.New("away")}, 1000)}
			s, _ := newSpace(t, store)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if _, cause := s.Prepare(ctx, "k", fetching()); cause.Kind != job.CauseRejected {
				t.Errorf("cause %v", cause)
			}
			if store.calls < 8 || store.calls > 20 {
				t.Errorf("%d calls in 10s: want backoff up to about a second", store.calls)
			}
		})
	})
	for name, c := range map[string]struct {
		store *memStore
		part  string
	}{
		"too large": {&memStore{artifacts: map[string][]byte{"f": make([]byte, 1001)}, refs: map[string]job.Ref{"f": src}}, "more than"},
		"too many":  {&memStore{artifacts: map[string][]byte{"a": nil, "b": nil, "c": nil, "d": nil}}, "4 files"},
		"escape":    {&memStore{artifacts: map[string][]byte{"../../x": nil}, refs: map[string]job.Ref{"../../x": src}}, "escapes"},
		"denied":    {&memStore{fail: []error{&job.Error{Code: job.Denied, Message: "not yours"}}}, "not yours"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newSpace(t, c.store)
			_, cause := s.Prepare(context.Background(), "k", fetching())
			if cause.Kind != job.CauseRejected || !strings.Contains(cause.Detail, c.part) {
				t.Errorf("cause %v, want %q", cause, c.part)
			}
		})
	}
}

func TestParseOutputs(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"\n\r\n":                 "",
		"a=1\n":                  `{"a":"1"}`,
		"a=1\nb=x=y\r\na=2":      `{"a":"2","b":"x=y"}`,
		"_k9= v \n":              `{"_k9":" v "}`,
		"a=\n":                   `{"a":""}`,
		"a=ü€\n":                 `{"a":"ü€"}`,
		"x\n":                    "line 1",
		"a=1\n\nA=2\n":           "line 3",
		"9a=1":                   "line 1",
		"=1":                     "line 1",
		"a-b=1":                  "line 1",
		"a=\xff\n":               "UTF-8",
		strings.Repeat("k", 200): "line 1",
	} {
		got, err := parseOutputs([]byte(in))
		if err != nil {
			if want == "" || want[0] == '{' || !strings.Contains(err.Error(), want) {
				t.Errorf("parseOutputs(%q): %v, want %s", in, err, want)
			}
		} else if string(got) != want {
			t.Errorf("parseOutputs(%q) = %s, want %s", in, got, want)
		}
	}
}

func FuzzParseOutputs(f *testing.F) {
	f.Add([]byte("a=1\nb=2\n"))
	f.Add([]byte("a=\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := parseOutputs(b)
		if err != nil || out == nil {
			return
		}
		if again, err := FunctionOutputs(out); err != nil && len(out) <= job.MaxOutput || again != nil && !bytes.Equal(again, out) {
			t.Errorf("%q became %s, which is refused: %v", b, out, err)
		}
	})
}

func TestFunctionOutputs(t *testing.T) {
	for in, ok := range map[string]bool{
		"": true, `{"a":"1"}`: true, `{}`: true, `{"a":1}`: false, `[]`: false, `{"A":"1"}`: false, `{"a":"1"`: false,
		`{"a":"` + strings.Repeat("x", job.MaxOutput) + `"}`: false,
	} {
		if _, err := FunctionOutputs([]byte(in)); (err == nil) != ok {
			t.Errorf("FunctionOutputs(%.40s): %v", in, err)
		}
	}
}

func TestCollect(t *testing.T) {
	ref := job.Ref{Job: 4217, Task: "m", Index: 3, Attempt: 2}
	write := func(t *testing.T, name, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		make func(t *testing.T, dir string)
		out  string
		put  map[string]string
		part string
	}{
		"nothing": {make: func(*testing.T, string) {}},
		"both": {make: func(t *testing.T, dir string) {
			write(t, dir+"/output", "rows=3\n")
			write(t, dir+"/artifacts/a b", "x")
			write(t, dir+"/artifacts/sub/ü", "y")
		}, out: `{"rows":"3"}`, put: map[string]string{"4217.m.3@2 159 a b": "x", "4217.m.3@2 159 sub/ü": "y"}},
		"bad line": {make: func(t *testing.T, dir string) { write(t, dir+"/output", "ok=1\nrows\n") }, part: "line 2"},
		"too much output": {make: func(t *testing.T, dir string) {
			write(t, dir+"/output", "a="+strings.Repeat("x", job.MaxOutput))
		}, part: "more than 64Ki"},
		"output is a link": {make: func(t *testing.T, dir string) {
			if err := os.Symlink("/etc/passwd", dir+"/output"); err != nil {
				t.Fatal(err)
			}
		}, part: "regular file"},
		"output is a pipe": {make: func(t *testing.T, dir string) {
			if err := syscall.Mkfifo(dir+"/output", 0o600); err != nil {
				t.Fatal(err)
			}
		}, part: "regular file"},
		"artifact is a link": {make: func(t *testing.T, dir string) {
			write(t, dir+"/artifacts/a", "x")
			if err := os.Symlink("/etc/passwd", dir+"/artifacts/b"); err != nil {
				t.Fatal(err)
			}
		}, part: `"b" is a symbolic link`},
		"artifact is a pipe": {make: func(t *testing.T, dir string) {
			if err := syscall.Mkfifo(dir+"/artifacts/p", 0o600); err != nil {
				t.Fatal(err)
			}
		}, part: "named pipe"},
		"artifacts is a link": {make: func(t *testing.T, dir string) {
			if err := errors.Join(os.Remove(dir+"/artifacts"), os.Symlink("/etc", dir+"/artifacts")); err != nil {
				t.Fatal(err)
			}
		}, part: "no longer a directory"},
		"artifacts is gone": {make: func(t *testing.T, dir string) {
			if err := os.Remove(dir + "/artifacts"); err != nil {
				t.Fatal(err)
			}
		}, part: "REEVE_ARTIFACTS was removed"},
		"too many": {make: func(t *testing.T, dir string) {
			for i := range 4 {
				write(t, fmt.Sprintf("%s/artifacts/%d", dir, i), "")
			}
		}, part: "more than 3 artifacts"},
		"too large": {make: func(t *testing.T, dir string) {
			write(t, dir+"/artifacts/a", strings.Repeat("x", 600))
			write(t, dir+"/artifacts/b", strings.Repeat("x", 600))
		}, part: "more than 1k"},
		"not UTF-8": {make: func(t *testing.T, dir string) { write(t, dir+"/artifacts/\xff", "") }, part: "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			store := &memStore{fail: []error{errors.New("connection lost")}}
			s, root := newSpace(t, store)
			dir := filepath.Join(root, AttemptsDir, "k")
			if err := os.MkdirAll(dir+"/artifacts", 0o700); err != nil {
				t.Fatal(err)
			}
			c.make(t, dir)
			out, cause := s.Collect(context.Background(), link.Claim{Fence: 159, Ref: ref}, "k")
			if c.part != "" {
				if cause.Kind != job.CauseOutput || !strings.Contains(cause.Detail, c.part) || len(store.put) > 0 {
					t.Errorf("cause %v, want %q; stored %v", cause, c.part, store.put)
				}
				return
			}
			if cause != (job.Cause{}) || string(out) != c.out {
				t.Errorf("outputs %s, cause %v; want %s", out, cause, c.out)
			}
			if diff := cmp.Diff(c.put, store.put); diff != "" {
				t.Errorf("artifacts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestItems: any item of a blob, in any order, over torn transfers and evictions.
func TestItems(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "%q\n", fmt.Sprintf("item %d\n", i))
	}
	store := &memStore{blob: text.String(), fail: []error{errors.New("connection lost")}}
	s, root := newSpace(t, store)
	for _, key := range []string{"a", "b", "a", "c", "d", "e", "f", "g", "h", "i", "j", "a"} {
		for _, n := range []int64{999, 0, 63, 64, 65, 500} {
			got, err := s.blobs.item(context.Background(), key, n)
			if want := fmt.Sprintf("item %d\n", n); err != nil || got != want {
				t.Fatalf("item %d of %s: %q, %v", n, key, got, err)
			}
		}
	}
	if store.calls != 1+11 {
		t.Errorf("%d fetches, want one per blob, one that failed, and one after an eviction", store.calls)
	}
	files, err := os.ReadDir(filepath.Join(root, BlobsDir))
	if err != nil || len(files) != maxBlobs {
		t.Errorf("%d files, %v", len(files), err)
	}
	for _, n := range []int64{-1, 1000} {
		if _, err := s.blobs.item(context.Background(), "a", n); err == nil {
			t.Errorf("item %d: no error", n)
		}
	}
}

func TestItemsTogether(t *testing.T) {
	store := &memStore{blob: "\"x\"\n\"y\"\n"}
	s, _ := newSpace(t, store)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			got, err := s.blobs.item(context.Background(), "a", int64(i%2))
			if want := "xy"[i%2 : i%2+1]; got != want || err != nil {
				t.Errorf("item %d: %q, %v", i%2, got, err)
			}
		})
	}
	wg.Wait()
	if store.calls != 1 {
		t.Errorf("%d fetches", store.calls)
	}
}

func TestBadItems(t *testing.T) {
	s, _ := newSpace(t, &memStore{blob: "\"x\"\n17\n\"cut"})
	for n, part := range map[int64]string{1: "item 1", 2: "item 2"} {
		if _, err := s.blobs.item(context.Background(), "a", n); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("item %d: %v", n, err)
		}
	}
}

func TestRemoveForbidden(t *testing.T) {
	s, root := newSpace(t, &memStore{})
	deep := filepath.Join(root, AttemptsDir, "k", "a", "b")
	if err := errors.Join(os.MkdirAll(deep, 0o700), os.WriteFile(deep+"/f", nil, 0o400), os.Chmod(deep, 0), os.Chmod(filepath.Dir(deep), 0o500)); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("k"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, AttemptsDir, "k")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestBaseEnv(t *testing.T) {
	t.Setenv("HOME", "/var/someone")
	t.Setenv("SECRET", "s")
	t.Setenv("WANTED", "w")
	env := BaseEnv([]string{"WANTED", "ABSENT"})
	if env["HOME"] != "/var/someone" || env["WANTED"] != "w" || env["PATH"] == "" || env["LANG"] == "" {
		t.Errorf("environment: %v", env)
	}
	for _, k := range []string{"SECRET", "ABSENT"} {
		if _, ok := env[k]; ok {
			t.Errorf("%s is passed on", k)
		}
	}
}
