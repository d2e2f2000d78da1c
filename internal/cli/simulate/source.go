package simulate

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/outcome"
	"github.com/reeve-scheduler/reeve/internal/simulate"
	"github.com/reeve-scheduler/reeve/internal/workload"
)

// source is where jobs come from.
type source struct {
	model, history bool

	jobs                 int
	procs                int64
	seed                 uint64
	load, overestimate   float64
	users, repeat        int
	wide, long, unasked  string
	since, before, queue string
	limit                int
}

// input is jobs to run, and what to run them on if nobody says.
type input struct {
	name  string
	trace *workload.Trace
	fleet []simulate.Worker
	// told is what was done with jobs that could not be run as they stood.
	told []string
}

func (s *source) flags(f *pflag.FlagSet) {
	f.Int64Var(&s.procs, "procs", 0, "the machine's `number` of processors (default: what the log says; of a model 256); a model draws for it whatever --workers says")
	f.StringVar(&s.wide, "wide", "drop", "what becomes of a log's jobs that are wider than the machine, a `word`: drop or clip")
	f.StringVar(&s.long, "long", "clip", "what becomes of a log's jobs that ran longer than they had asked for, a `word`: clip, or keep to raise what they asked for")
	f.StringVar(&s.unasked, "unasked", "take", "what becomes of a log's jobs that did not ask for a time, a `word`: take, as if they had asked for what they ran, or drop")
	f.BoolVar(&s.model, "model", false, "draw jobs by the Lublin–Feitelson model")
	f.IntVar(&s.jobs, "jobs", 10_000, "of a model: this `number` of jobs")
	f.Uint64Var(&s.seed, "seed", 1, "of a model: the `number` that its chances begin with; the same makes the same jobs")
	f.Float64Var(&s.load, "load", 0, "of a model: the `share` of the machine that the work comes to, such as 0.8 (default: the model's own)")
	f.IntVar(&s.users, "users", 0, "of a model: the `number` of users, busy by Zipf's law")
	f.IntVar(&s.repeat, "repeat", 0, "of a model: how often in the mean a user's job is followed by one like it, a `number`")
	f.Float64Var(&s.overestimate, "overestimate", 0, "of a model: the most that users ask for beyond the run time, as a `multiple` of it")
	f.BoolVar(&s.history, "history", false, "take what the cluster ran, in the namespace")
	f.StringVar(&s.since, "since", "", "of the history: submitted since, a duration such as 7d, or a `time` (RFC 3339)")
	f.StringVar(&s.before, "before", "", "of the history: submitted before, a duration such as 2h, or a `time` (RFC 3339)")
	f.StringVar(&s.queue, "queue", "", "of the history: only of this `queue`")
	f.IntVar(&s.limit, "limit", 10_000, "of the history: the newest jobs, at most this `number`")
}

func (s *source) check(f *pflag.FlagSet) error {
	for _, kind := range []struct {
		on    bool
		flag  string
		flags []string
	}{
		{s.model, "model", []string{"jobs", "seed", "load", "users", "repeat", "overestimate"}},
		{s.history, "history", []string{"since", "before", "queue", "limit"}},
	} {
		for _, name := range kind.flags {
			if !kind.on && f.Changed(name) {
				return fmt.Errorf("--%s goes with --%s", name, kind.flag)
			}
		}
	}
	for _, c := range []struct{ flag, value, a, b string }{
		{"wide", s.wide, "drop", "clip"}, {"long", s.long, "clip", "keep"}, {"unasked", s.unasked, "take", "drop"},
	} {
		if c.value != c.a && c.value != c.b {
			return fmt.Errorf("--%s %q: want %s or %s", c.flag, c.value, c.a, c.b)
		}
	}
	if f.Changed("procs") && s.procs < 1 {
		return fmt.Errorf("--procs %d: want 1 or more", s.procs)
	}
	if s.limit < 1 {
		return fmt.Errorf("--limit %d: want 1 or more", s.limit)
	}
	return nil
}

// read gets the jobs. A fleet that was asked for says how many processors there are.
func (s *source) read(ctx context.Context, e *Env, args []string, fleet []simulate.Worker) (*input, error) {
	kinds := len(args)
	for _, on := range []bool{s.model, s.history} {
		if on {
			kinds++
		}
	}
	if kinds != 1 {
		return nil, errors.New("what is to be run? Want one of FILE, --model and --history")
	}
	if fleet != nil && s.procs > 0 && !s.model {
		return nil, errors.New("--procs and --workers: one of them says how many processors there are")
	}
	procs := s.procs
	if fleet != nil && procs == 0 {
		procs = simulate.Total(fleet) / 1000
	}
	switch {
	case s.model:
		return s.draw(procs)
	case s.history:
		return s.recall(ctx, e, fleet)
	}
	return s.open(e, args[0], procs)
}

// draw draws jobs by the model.
func (s *source) draw(procs int64) (*input, error) {
	if procs == 0 {
		procs = 256
	}
	m := workload.Model{
		Jobs: s.jobs, Procs: procs, Seed: s.seed, Load: int64(s.load*1000 + 0.5), Users: s.users, Repeat: s.repeat,
		Overestimate: int64(s.overestimate*100 + 0.5),
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("--model: %w", err)
	}
	name := fmt.Sprintf("model of %d jobs, seed %d", s.jobs, s.seed)
	return &input{name: name, trace: m.Trace(), fleet: simulate.Processors(procs)}, nil
}

// open reads a file, or standard input.
func (s *source) open(e *Env, path string, procs int64) (*input, error) {
	in, name := e.In, "standard input"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in, name = f, path
	}
	b, plain, err := unpack(in, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	read := s.log
	if strings.EqualFold(filepath.Ext(plain), ".csv") {
		read = list
	}
	out, err := read(b, procs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out.name = name
	return out, nil
}

// packed is how files begin that are compressed in a way that is not read here.
var packed = map[string]string{"xz": "\xfd7zXZ", "bzip2": "BZh", "zstd": "\x28\xb5\x2f\xfd", "zip": "PK\x03\x04"}

// unpack lets text be read, and gives the name that it would have as a file.
func unpack(in io.Reader, name string) (*bufio.Reader, string, error) {
	b := bufio.NewReaderSize(in, 1<<16)
	if begins(b, "\x1f\x8b") {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, "", err
		}
		b, name = bufio.NewReaderSize(z, 1<<16), strings.TrimSuffix(name, ".gz")
	}
	for by, magic := range packed {
		if begins(b, magic) {
			return nil, "", fmt.Errorf("is compressed by %s; want text, or what gzip made of it", by)
		}
	}
	if mark := "\ufeff"; begins(b, mark) { // that the text is UTF-8, as some editors write it
		if _, err := b.Discard(len(mark)); err != nil {
			return nil, "", err
		}
	}
	return b, name, nil
}

func begins(b *bufio.Reader, with string) bool {
	head, err := b.Peek(len(with))
	return err == nil && string(head) == with
}

// log reads a log in the Standard Workload Format.
func (s *source) log(r io.Reader, procs int64) (*input, error) {
	l, err := workload.ReadSWF(r)
	if err != nil {
		return nil, err
	}
	trace, told := l.Clean(workload.Rules{Procs: procs, ClipWide: s.wide == "clip", KeepLong: s.long == "keep", DropUnasked: s.unasked == "drop"})
	in := &input{trace: trace, fleet: simulate.Processors(max(trace.Procs, 1))}
	if n, said := l.Processors(); procs == 0 && !said {
		in.told = append(in.told, fmt.Sprintf("the log does not say how many processors there are: taken to be %d, as many as its widest job has; --procs says otherwise", n))
	}
	for _, d := range told {
		in.told = append(in.told, d.String())
	}
	return in, nil
}

// list reads a list of tasks. Without a machine there is one with the processors of the
// widest.
func list(r io.Reader, procs int64) (*input, error) {
	trace, err := workload.ReadList(r)
	if err != nil {
		return nil, err
	}
	widest := int64(1)
	for i := range trace.Jobs {
		widest = max(widest, trace.Jobs[i].Procs)
	}
	if procs == 0 {
		procs = widest
	}
	trace.Procs = procs
	return &input{trace: trace, fleet: simulate.Processors(procs)}, nil
}

// parseFleet reads --workers. Without any there is no fleet.
func parseFleet(texts []string) (fleet []simulate.Worker, err error) {
	for i, text := range texts {
		w := simulate.Worker{Name: "w" + strconv.Itoa(i+1), N: 1, Capacity: job.Resources{Memory: unlimited}}
		for part := range strings.SplitSeq(text, ",") {
			if err := setWorker(&w, part); err != nil {
				return nil, fmt.Errorf("--workers %s: %w", text, err)
			}
		}
		if w.Capacity.CPU == 0 {
			return nil, fmt.Errorf("--workers %s: want cpu=, how many processors each has", text)
		}
		if w.Slots == 0 {
			w.Slots = int(max(w.Capacity.CPU/1000, 1))
		}
		fleet = append(fleet, w)
	}
	return fleet, nil
}

// unlimited is the memory of workers of which nobody says how much they have.
const unlimited = 1 << 60

// mostWorkers bounds the workers of a fleet, as a server does.
const mostWorkers = 50_000

func setWorker(w *simulate.Worker, part string) (err error) {
	key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
	if !ok {
		return fmt.Errorf("%q: want key=value", part)
	}
	switch key {
	case "n", "slots":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > mostWorkers {
			return fmt.Errorf("%s: want a number from 1 to %d", part, mostWorkers)
		}
		if key == "n" {
			w.N = n
		} else {
			w.Slots = n
		}
	case "name":
		w.Name = value
		err = job.CheckName(value)
	case "cpu":
		w.Capacity.CPU, err = job.ParseCPU(value)
	case "memory":
		w.Capacity.Memory, err = job.ParseSize(value)
	case "label":
		if w.Labels == nil {
			w.Labels = map[string]string{}
		}
		name, v, _ := strings.Cut(value, "=")
		w.Labels[name] = v
	default:
		return fmt.Errorf("%q is nothing that a worker has; known: n, name, cpu, memory, slots, label", key)
	}
	return err
}

// warmUp reads --warm-up: a number of jobs, or a duration.
func warmUp(text string) (r outcome.Rules, err error) {
	if text == "" {
		return r, nil
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		r.WarmUpJobs = n
		return r, nil
	}
	d, err := job.ParseDuration(text)
	if err != nil {
		return r, fmt.Errorf("--warm-up %q: want a number of jobs, or a duration such as 2d", text)
	}
	r.WarmUpTime = d.Milliseconds()
	return r, nil
}
