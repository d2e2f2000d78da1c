package workload

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// ReadList reads a list of tasks: comma-separated values whose first line names the
// columns. Each line is a job, or as many as its count says.
//
//	submit,run,cpu,memory,count
//	0s,10m,2,4Gi,100
//	5m,1h,16,64Gi,1
//
// Only run is needed. Times and sizes are spelled as in job files; submit counts from
// the list's beginning, every is the time between jobs of one line, and deadline counts
// from a job's submit.
func ReadList(r io.Reader) (*Trace, error) {
	in := csv.NewReader(r)
	in.Comment, in.TrimLeadingSpace, in.ReuseRecord = '#', true, true
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("line 1: the list is empty; its first line names the columns: " + strings.Join(columnNames(), ", "))
	} else if err != nil {
		return nil, err
	}
	columns := make([]column, len(header))
	for i, name := range header {
		at := slices.IndexFunc(listColumns[:], func(c column) bool { return c.name == strings.TrimSpace(name) })
		if at < 0 {
			line, col := in.FieldPos(i)
			return nil, fmt.Errorf("line %d, column %d: %.40q is no column; known: %s", line, col, name, strings.Join(columnNames(), ", "))
		}
		columns[i] = listColumns[at]
	}
	if !slices.ContainsFunc(columns, func(c column) bool { return c.name == "run" }) {
		return nil, errors.New("line 1: the column run is missing: how long each job runs")
	}
	t := &Trace{}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		item := listed{count: 1, Job: Job{Procs: 1, Wait: Unknown}}
		for i, text := range row {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			if err := columns[i].set(&item, text); err != nil {
				line, col := in.FieldPos(i)
				return nil, fmt.Errorf("line %d, column %d: %s: %w", line, col, columns[i].name, err)
			}
		}
		line, _ := in.FieldPos(0)
		if err := item.spread(t); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	slices.SortStableFunc(t.Jobs, func(a, b Job) int { return cmp.Compare(a.Submit, b.Submit) })
	for i := range t.Jobs {
		t.Jobs[i].Number = int64(i + 1)
	}
	return t, nil
}

// listed is a line of a list.
type listed struct {
	Job
	count    int
	every    int64
	deadline int64
}

// spread adds the jobs of a line.
func (l *listed) spread(t *Trace) error {
	switch {
	case l.Run < 1:
		return errors.New("run is missing or 0; want a duration such as 10m")
	case len(t.Jobs)+l.count > MaxJobs:
		return fmt.Errorf("the list comes to more than %d jobs", MaxJobs)
	}
	l.Request = cmp.Or(l.Request, l.Run)
	l.Run = min(l.Run, l.Request)
	for i := range l.count {
		j := l.Job
		j.Submit += int64(i) * l.every
		if l.deadline > 0 {
			j.Deadline = j.Submit + l.deadline
		}
		t.Jobs = append(t.Jobs, j)
	}
	return nil
}

// column is a column of a list.
type column struct {
	name string
	set  func(*listed, string) error
}

var listColumns = [...]column{
	{"submit", func(l *listed, s string) error { return duration(&l.Submit, s) }},
	{"run", func(l *listed, s string) error { return duration(&l.Run, s) }},
	{"request", func(l *listed, s string) error { return duration(&l.Request, s) }},
	{"cpu", func(l *listed, s string) error {
		n, err := job.ParseCPU(s)
		l.SetMilli(n)
		return err
	}},
	{"memory", func(l *listed, s string) (err error) {
		l.Memory, err = job.ParseSize(s)
		return err
	}},
	{"count", func(l *listed, s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > MaxJobs {
			return fmt.Errorf("%.40q: want a number from 1 to %d", s, MaxJobs)
		}
		l.count = n
		return nil
	}},
	{"every", func(l *listed, s string) error { return duration(&l.every, s) }},
	{"deadline", func(l *listed, s string) error { return duration(&l.deadline, s) }},
	{"priority", func(l *listed, s string) error {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return fmt.Errorf("%.40q: want a whole number; higher goes first", s)
		}
		l.Priority = int32(n)
		return nil
	}},
	{"user", func(l *listed, s string) error { l.User = strings.Clone(s); return nil }},
	{"queue", func(l *listed, s string) error { l.Queue = strings.Clone(s); return nil }},
	{"name", func(l *listed, s string) error { l.Name = strings.Clone(s); return nil }},
}

func columnNames() (out []string) {
	for _, c := range listColumns {
		out = append(out, c.name)
	}
	return out
}

func duration(into *int64, s string) error {
	d, err := job.ParseDuration(s)
	*into = int64(d / time.Millisecond)
	return err
}
