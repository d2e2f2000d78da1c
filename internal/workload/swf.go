package workload

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Record is a line of a log in the Standard Workload Format (Chapin et al., 1999;
// Feitelson, version 2.2), as it stands there but for times, which are milliseconds.
// Unknown is what the format writes for what is not known.
type Record struct {
	Number              int64
	Submit, Wait, Run   int64
	Procs               int64 // allocated
	ReqProcs            int64
	ReqTime             int64
	ReqMemory           int64 // kilobytes for each processor
	Status              int64
	User, Group         int64
	Executable          int64
	Queue, Partition    int64
	Preceding, Think    int64
	CPUTime, UsedMemory int64
}

// Status is what the format says of a job's end.
const (
	StatusFailed    = 0
	StatusCompleted = 1
	// StatusPartial to StatusPartialFailed are parts of a job that was stopped and went
	// on; another line says what came of the whole.
	StatusPartial       = 2
	StatusPartialFailed = 4
	StatusCancelled     = 5
)

// Log is a log in the Standard Workload Format.
type Log struct {
	// Header is the lines before the jobs, by name, as in "MaxProcs: 128".
	Header  []Field
	Records []Record
}

// Field is a line of a log's header.
type Field struct{ Name, Value string }

const (
	// MaxJobs bounds what is read: as many as fit the memory of a small machine.
	MaxJobs = 20_000_000
	// maxLine bounds a line of a file; the longest comments of published logs have some
	// hundred bytes.
	maxLine = 64 << 10
	// maxHeader bounds the lines of a header.
	maxHeader = 10_000
)

// fieldNames is what the columns are called, in order.
var fieldNames = [...]string{
	"job number", "submit time", "wait time", "run time", "allocated processors", "average CPU time", "used memory",
	"requested processors", "requested time", "requested memory", "status", "user", "group", "executable", "queue",
	"partition", "preceding job", "think time",
}

// ReadSWF reads a log. An error names the line and the column of what can't be read.
func ReadSWF(r io.Reader) (*Log, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), maxLine)
	l := &Log{}
	line := 0
	for s.Scan() {
		line++
		text := strings.TrimRight(s.Text(), " \t\r")
		rest := strings.TrimLeft(text, " \t")
		switch {
		case rest == "":
		case rest[0] == ';':
			if err := l.comment(rest[1:]); err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
		default:
			if len(l.Records) == MaxJobs {
				return nil, fmt.Errorf("line %d: more than %d jobs; cut the log", line, MaxJobs)
			}
			rec, err := parseRecord(text)
			if err != nil && !s.Scan() && s.Err() != nil { // it is what was read of a line
				return nil, fmt.Errorf("line %d: %w", line, s.Err())
			} else if err != nil {
				return nil, fmt.Errorf("line %d, %w", line, err)
			}
			l.Records = append(l.Records, rec)
		}
	}
	if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d: longer than %d bytes; is it a log?", line+1, maxLine)
	} else if err != nil {
		return nil, fmt.Errorf("line %d: %w", line+1, err)
	}
	return l, nil
}

// comment keeps a line of the header. Comments between jobs are no header.
func (l *Log) comment(text string) error {
	name, value, ok := strings.Cut(text, ":")
	name = strings.TrimSpace(name)
	if !ok || name == "" || len(l.Records) > 0 {
		return nil
	}
	if len(l.Header) == maxHeader {
		return fmt.Errorf("more than %d lines of header; is it a log?", maxHeader)
	}
	l.Header = append(l.Header, Field{name, strings.TrimSpace(value)})
	return nil
}

// Number is a number of the header, such as MaxProcs, or Unknown. Some logs write
// more after it, or end it as a sentence.
func (l *Log) Number(name string) int64 {
	for _, f := range l.Header {
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		words := strings.Fields(f.Value)
		if len(words) == 0 {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimRight(words[0], ".,;"), 10, 64); err == nil && n >= 0 {
			return n
		}
	}
	return Unknown
}

// Processors is how many processors the log's machine has: MaxProcs, or else MaxNodes.
// Where the header does not say, it is as many as the widest job has, 0 for an empty log.
func (l *Log) Processors() (n int64, said bool) {
	for _, name := range []string{"MaxProcs", "MaxNodes"} {
		if n := l.Number(name); n > 0 {
			return n, true
		}
	}
	for i := range l.Records {
		n = max(n, l.Records[i].width())
	}
	return n, false
}

// width is how many processors a job asked for, or else was given.
func (r *Record) width() int64 {
	if r.ReqProcs > 0 {
		return r.ReqProcs
	}
	return r.Procs
}

// parseRecord reads the 18 fields of a line. The error begins with the column.
func parseRecord(text string) (Record, error) {
	var r Record
	into := [...]*int64{
		&r.Number, &r.Submit, &r.Wait, &r.Run, &r.Procs, &r.CPUTime, &r.UsedMemory, &r.ReqProcs, &r.ReqTime, &r.ReqMemory,
		&r.Status, &r.User, &r.Group, &r.Executable, &r.Queue, &r.Partition, &r.Preceding, &r.Think,
	}
	at, n := 0, 0
	for {
		for at < len(text) && (text[at] == ' ' || text[at] == '\t') {
			at++
		}
		if at == len(text) {
			break
		}
		end := at
		for end < len(text) && text[end] != ' ' && text[end] != '\t' {
			end++
		}
		column := utf8.RuneCountInString(text[:at]) + 1
		if n == len(into) {
			return r, fmt.Errorf("column %d: %.40q is a field too many; a line has %d", column, text[at:end], len(into))
		}
		unit := int64(1)
		switch n {
		case 1, 2, 3, 5, 8, 17: // times are seconds
			unit = 1000
		}
		v, ok := parseNumber(text[at:end], unit)
		if !ok {
			return r, fmt.Errorf("column %d: %.40q is no number; field %d is the %s", column, text[at:end], n+1, fieldNames[n])
		}
		*into[n] = v
		n++
		at = end
	}
	if n < len(into) {
		return r, fmt.Errorf("column %d: the line ends after field %d, the %s; it should have %d",
			utf8.RuneCountInString(text)+1, n, fieldNames[n-1], len(into))
	}
	return r, nil
}

// parseNumber reads a number and multiplies it by a unit. What the format writes for
// unknown, or anything below zero, stays Unknown. Fractions are allowed in all fields,
// as some logs have them where they should not.
func parseNumber(s string, unit int64) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 0 {
			return Unknown, true
		}
		if n > math.MaxInt64/4/unit {
			return 0, false
		}
		return n * unit, true
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || math.IsNaN(f) || f > math.MaxInt64/4/float64(unit):
		return 0, false
	case f < 0:
		return Unknown, true
	}
	return int64(math.Round(f * float64(unit))), true
}

// WriteSWF writes jobs as a log, with the times that they waited. The start is by job;
// nil leaves the waits as they are in the jobs.
func WriteSWF(w io.Writer, t *Trace, start []int64) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "; Version: 2.2\n; MaxJobs: %d\n; MaxRecords: %d\n; MaxProcs: %d\n", len(t.Jobs), len(t.Jobs), t.Procs)
	if t.Start > 0 {
		fmt.Fprintf(b, "; UnixStartTime: %d\n", t.Start/1000)
	}
	users, programs, queues := numbers{}, numbers{}, numbers{}
	for i := range t.Jobs {
		j := &t.Jobs[i]
		wait := j.Wait
		if start != nil {
			wait = start[i] - j.Submit
		}
		memory := int64(Unknown)
		if j.Memory > 0 && j.Procs > 0 {
			memory = j.Memory / j.Procs >> 10
		}
		fmt.Fprintf(b, "%d %s %s %s %d -1 -1 %d %s %d 1 %d -1 %d %d -1 -1 -1\n", j.Number, seconds(j.Submit), seconds(wait), seconds(j.Run),
			j.Procs, j.Procs, seconds(j.Request), memory, users.of(j.User), programs.of(j.Name), queues.of(j.Queue))
	}
	return b.Flush()
}

func seconds(ms int64) string {
	switch {
	case ms < 0:
		return "-1"
	case ms%1000 == 0:
		return strconv.FormatInt(ms/1000, 10)
	}
	return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64)
}

// numbers gives names the numbers that the format wants. A name that is a number
// already keeps it.
type numbers struct {
	by   map[string]int64
	next int64
}

func (n *numbers) of(name string) int64 {
	if name == "" {
		return Unknown
	}
	if v, err := strconv.ParseInt(name, 10, 64); err == nil && v >= 0 {
		return v
	}
	if n.by == nil {
		n.by, n.next = map[string]int64{}, 1_000_001 // above the numbers that names are
	}
	v, ok := n.by[name]
	if !ok {
		v = n.next
		n.next++
		n.by[name] = v
	}
	return v
}
