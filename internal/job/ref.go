package job

import (
	"fmt"
	"strconv"
	"strings"
)

// ID names a job across the whole cluster. Ids rise with time and are never
// issued twice; zero is no job. On the wire an ID is a decimal string.
type ID uint64

// String returns the id as users write it: 4217.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// ParseID reads a job id as users write it. It refuses zero, signs, blanks and
// leading zeros, so that one job has one spelling.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || s[0] == '0' || s[0] == '+' {
		return 0, fmt.Errorf("job id %q: want a positive whole number such as 4217", s)
	}
	return ID(n), nil
}

// NoIndex stands in Ref.Index for "no element": the task as a whole, or a task
// that is not an array.
const NoIndex int64 = -1

// Ref names a job, a task, an element or an attempt: whichever of its parts are
// set, from the left. It is a value and compares with ==.
type Ref struct {
	// Job is the job's id.
	Job ID
	// Task is the task's name, empty for the job as a whole.
	Task string
	// Index is the element's array index, or NoIndex.
	Index int64
	// Attempt counts from 1; zero means no particular attempt.
	Attempt int
}

// String spells the reference as users write it: 4217, 4217.transform,
// 4217.transform.3, 4217.transform.3@2.
func (r Ref) String() string {
	var b strings.Builder
	b.WriteString(r.Job.String())
	if r.Task != "" {
		b.WriteByte('.')
		b.WriteString(r.Task)
	}
	if r.Index != NoIndex {
		b.WriteByte('.')
		b.WriteString(strconv.FormatInt(r.Index, 10))
	}
	if r.Attempt > 0 {
		b.WriteByte('@')
		b.WriteString(strconv.Itoa(r.Attempt))
	}
	return b.String()
}

// ParseRef reads what String writes, and also 4217.transform[3] and
// 4217.transform_3. Task names have no underscore, so both are unambiguous.
func ParseRef(s string) (Ref, error) {
	fail := func(why string) (Ref, error) {
		return Ref{}, fmt.Errorf("reference %q: %s; want JOB, JOB.TASK, JOB.TASK.INDEX or JOB.TASK.INDEX@ATTEMPT, such as 4217.transform.3@2", s, why)
	}
	r := Ref{Index: NoIndex}
	rest := s
	if head, tail, ok := strings.Cut(rest, "@"); ok {
		n, err := strconv.ParseUint(tail, 10, 16)
		if err != nil || n == 0 {
			return fail("the attempt is a number from 1 to 65535")
		}
		r.Attempt, rest = int(n), head
	}
	head, rest, more := strings.Cut(rest, ".")
	id, err := ParseID(head)
	if err != nil {
		return fail("the job id is a positive whole number")
	}
	r.Job = id
	if !more {
		if r.Attempt > 0 {
			return fail("an attempt needs a task")
		}
		return r, nil
	}
	task, index, hasIndex := cutIndex(rest)
	if err := CheckName(task); err != nil {
		return fail(err.Error())
	}
	r.Task = task
	if hasIndex {
		n, err := strconv.ParseUint(index, 10, 40)
		if err != nil {
			return fail("the index is a whole number")
		}
		r.Index = int64(n)
	}
	return r, nil
}

// cutIndex splits "task.3", "task[3]" and "task_3".
func cutIndex(s string) (task, index string, ok bool) {
	if i := strings.IndexAny(s, ".[_"); i >= 0 {
		if s[i] == '[' {
			index, closed := strings.CutSuffix(s[i+1:], "]")
			if !closed {
				return s[:i], "", true
			}
			return s[:i], index, true
		}
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// MaxName is the longest name in bytes, so that a name is also a DNS label.
const MaxName = 63

// CheckName reports why s is not a name: [a-z]([a-z0-9-]*[a-z0-9])?, at most
// MaxName bytes, and neither of the reserved words.
func CheckName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("a name is empty; want small letters, digits and dashes, such as my-task")
	case len(s) > MaxName:
		return fmt.Errorf("name %q has %d characters; at most %d are allowed", s[:MaxName]+"…", len(s), MaxName)
	case s == "last" || s == "all":
		return fmt.Errorf("name %q is reserved", s)
	}
	for i := range len(s) {
		c := s[i]
		letter, digit := 'a' <= c && c <= 'z', '0' <= c && c <= '9'
		if letter || digit && i > 0 || c == '-' && i > 0 && i < len(s)-1 {
			continue
		}
		return fmt.Errorf("name %q: want small letters, digits and dashes, beginning with a letter and ending with a letter or digit", s)
	}
	return nil
}

// NearName is a name that is near to s, for a message about one that is none: empty if
// there is none.
func NearName(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		digit := '0' <= r && r <= '9'
		switch {
		case r > '~':
			return ""
		case 'a' <= r && r <= 'z', digit && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0 && strings.ContainsRune("-_ .", r):
			b.WriteByte('-')
		}
	}
	name := strings.TrimRight(b.String(), "-")
	if CheckName(name) != nil {
		return ""
	}
	return name
}
