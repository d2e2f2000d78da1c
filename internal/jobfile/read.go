package jobfile

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// parser reads one file. Its readers report what is wrong and go on, so that one
// run finds many errors; after an error their values are not meaningful.
type parser struct {
	file string
	errs Errors
	spec *job.Spec
	// namespace is the file's, if any.
	namespace string
	// tasks are the places of spec.Tasks.
	tasks []place
	notes []string
}

// place is where a task stands in the file.
type place struct {
	// node is the task's mapping: the whole file if it has one task only.
	node *node
	// needs is one node per need.
	needs []*node
}

// field is a key that a mapping may have, and what reads its value.
type field struct {
	key  string
	read func(n *node)
}

// fields reads a mapping's keys in the order of the file. hint, if any, explains
// an unknown key that it knows.
func (p *parser) fields(n *node, known []field, hint func(key string) string) {
	for i, k := range n.keys {
		found := false
		for _, f := range known {
			if f.key == k.text {
				f.read(n.items[i])
				found = true
				break
			}
		}
		if found || k.kind != scalar {
			continue
		}
		message := ""
		if hint != nil {
			message = hint(k.text)
		}
		if message == "" && k.text == "<<" {
			message = "merge keys are not part of job files; write the values out"
		}
		if message == "" {
			words := make([]string, len(known))
			for i, f := range known {
				words[i] = f.key
			}
			message = "unknown key; " + suggest(k.text, words)
		}
		p.fail(k, "%s", message)
	}
}

// text reads a scalar's source text; want says what it is for.
func (p *parser) text(n *node, want string) (string, bool) {
	if n.kind != scalar || n.null() {
		if n.kind == scalar {
			want += `, or "" for an empty text`
		}
		p.bad(n, "want %s", want)
		return "", false
	}
	if strings.IndexByte(n.text, 0) >= 0 {
		p.bad(n, "has a NUL character, which no process can be given")
		return "", false
	}
	return n.text, true
}

// filled reads a text that is not empty and holds no expression.
func (p *parser) filled(n *node, want string, most int) string {
	text, ok := p.text(n, want)
	switch {
	case !ok:
	case strings.TrimSpace(text) == "":
		p.bad(n, "want %s", want)
	case len(text) > most:
		p.bad(n, "has %d bytes; at most %d are allowed", len(text), most)
	case strings.Contains(text, exprOpen):
		p.bad(n, "expressions are not evaluated here; they may stand in env, command and array")
	}
	return text
}

// name reads a name of the trade: of a job, a task, a queue.
func (p *parser) name(n *node) string {
	text, ok := p.text(n, "a name such as my-task")
	if ok {
		p.checkName(n, text)
	}
	return text
}

func (p *parser) checkName(n *node, text string) {
	err := job.CheckName(text)
	switch {
	case err == nil:
	case text == "last" || text == "all":
		p.bad(n, "is a reserved word; choose another name")
	case len(text) > job.MaxName:
		p.bad(n, "has %d characters; at most %d are allowed", len(text), job.MaxName)
	default:
		p.bad(n, "want a name of small letters, digits and dashes, beginning with a letter and ending with a letter or digit%s", tidyName(text))
	}
}

// tidyName proposes a legal name that is near to text.
func tidyName(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		if r < 'a' || r > 'z' {
			if b.Len() == 0 || r != '-' && r != '_' && r != ' ' && r != '.' && (r < '0' || r > '9') {
				continue
			}
			if r < '0' || r > '9' {
				r = '-'
			}
		}
		b.WriteRune(r)
	}
	name := strings.TrimRight(b.String(), "-")
	if job.CheckName(name) != nil {
		return ""
	}
	return ", such as " + name
}

// word reads one of a few words.
func (p *parser) word(n *node, words ...string) string {
	for _, w := range words {
		if n.kind == scalar && n.text == w {
			return w
		}
	}
	p.bad(n, "want %s", oneOf(words))
	return ""
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// number reads a whole number from low to high.
func (p *parser) number(n *node, low, high int64) int64 {
	value, ok := wholeNumber(n)
	if !ok || value < low || value > high {
		p.bad(n, "want a whole number from %d to %d", low, high)
	}
	return value
}

func wholeNumber(n *node) (int64, bool) {
	if n.kind != scalar {
		return 0, false
	}
	digits := strings.TrimPrefix(n.text, "-")
	if digits == "" || len(digits) > 1 && digits[0] == '0' || digits[0] < '0' || digits[0] > '9' {
		return 0, false
	}
	value, err := strconv.ParseInt(n.text, 10, 64)
	return value, err == nil
}

// boolean reads true or false.
func (p *parser) boolean(n *node) bool {
	value, ok := n.boolean()
	if !ok {
		p.bad(n, "want true or false, without quotes")
	}
	return value
}

// longest bounds every duration: ten years, so that sums of moments can't
// overflow.
const longest = 3650 * 24 * time.Hour

// duration reads a duration from low to longest.
func (p *parser) duration(n *node, low time.Duration) job.Duration {
	d, err := time.Duration(math.MaxInt64), error(nil)
	if n.kind == scalar {
		d, err = job.ParseDuration(n.text)
	}
	switch {
	case n.kind != scalar || err != nil:
		hint := ""
		if _, isNumber := wholeNumber(n); isNumber {
			hint = "; a unit is missing: " + n.text + "s for seconds"
		}
		p.bad(n, "want a duration such as 90s or 1h30m%s", hint)
	case d < low:
		p.bad(n, "want a duration of at least %s", job.FormatDuration(low))
	case d > longest:
		p.bad(n, "want a duration of at most %s", job.FormatDuration(longest))
	}
	return job.Duration(d)
}

// moment reads a duration after the submit, or a time.
func (p *parser) moment(n *node, low time.Duration) *job.Moment {
	var m job.Moment
	if n.kind != scalar || m.UnmarshalText([]byte(n.text)) != nil {
		p.bad(n, "want a duration after the submit such as 2h30m, or a time with its zone such as 2026-12-01T04:00:00Z")
		return nil
	}
	if m.At.IsZero() {
		m.In = p.duration(n, low)
	}
	return &m
}

// size reads bytes from low to high.
func (p *parser) size(n *node, low, high int64) int64 {
	size, err := int64(0), error(nil)
	if n.kind == scalar {
		size, err = job.ParseSize(n.text)
	}
	switch {
	case n.kind != scalar || err != nil:
		p.bad(n, "want a size such as 512Mi or 4G")
	case size < low || size > high:
		p.bad(n, "want a size from %s to %s", job.FormatSize(low), job.FormatSize(high))
	}
	return size
}

// each calls read for every item of a list.
func (p *parser) each(n *node, want string, read func(item *node)) {
	if n.kind != sequence {
		p.bad(n, "want %s", want)
		return
	}
	for _, item := range n.items {
		read(item)
	}
}

// pairs calls read for every pair of a mapping.
func (p *parser) pairs(n *node, want string, read func(key, value *node)) {
	if n.kind != mapping {
		p.bad(n, "want %s", want)
		return
	}
	for i, key := range n.keys {
		if key.kind == scalar {
			read(key, n.items[i])
		}
	}
}
