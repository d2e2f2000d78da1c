package jobfile

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/jobfile/foreign"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
	"github.com/reeve-scheduler/reeve/internal/match"
)

// parser reads one file. Its readers report what is wrong and go on, so that one
// run finds many errors; after an error their values are not meaningful.
type parser struct {
	*tree.Reports
	spec *job.Spec
	// namespace is the file's, if any.
	namespace string
	// tasks are the places of spec.Tasks.
	tasks []place
	notes []string
	// given is an array from outside, taken that a task has got it.
	given *Given
	taken bool
	// conditions checks what is said of workers.
	conditions match.Reader
}

func newParser(name string) *parser {
	return &parser{Reports: &tree.Reports{File: name}, spec: &job.Spec{}}
}

// place is where a task stands in the file.
type place struct {
	// node is the task's mapping: the whole file if it has one task only.
	node *tree.Node
	// needs is one node per need.
	needs []*tree.Node
}

// field is a key that a mapping may have, and what reads its value.
type field struct {
	key  string
	read func(n *tree.Node)
}

// fields reads a mapping's keys in the order of the file. hint, if any, explains
// an unknown key that it knows.
func (p *parser) fields(n *tree.Node, known []field, hint func(key string) string) {
	for i, k := range n.Keys {
		found := false
		for _, f := range known {
			if f.key == k.Text {
				f.read(n.Items[i])
				found = true
				break
			}
		}
		if found || k.Kind != tree.Scalar {
			continue
		}
		message := ""
		if hint != nil {
			message = hint(k.Text)
		}
		if message == "" && k.Text == "<<" {
			message = "merge keys are not part of job files; write the values out"
		}
		if message == "" {
			message = elsewhere(k.Text, known)
		}
		if message == "" {
			words := make([]string, 0, len(known))
			for _, f := range known {
				if !slices.Contains(words, f.key) { // of a file with one task, job and task may have a key in common
					words = append(words, f.key)
				}
			}
			message = "unknown key; " + tree.Suggest(k.Text, words)
		}
		p.Fail(k, "%s", message)
	}
}

// elsewhere explains a key that job files of other systems have, where a mapping has Reeve's
// word for it, or nothing has. It is empty for a key that it doesn't know.
func elsewhere(key string, known []field) string {
	ours, form := foreign.Key(key)
	switch {
	case form == "":
		return ""
	case ours == "":
		return "unknown key; " + form
	case slices.ContainsFunc(known, func(f field) bool { return f.key == ours }):
		return "unknown key; want " + form
	}
	return ""
}

// text reads a scalar's source text; want says what it is for.
func (p *parser) text(n *tree.Node, want string) (string, bool) {
	if n.Kind != tree.Scalar || n.Null() {
		p.Bad(n, "want %s", want)
		return "", false
	}
	if strings.IndexByte(n.Text, 0) >= 0 {
		p.Bad(n, "has a NUL character, which no process can be given")
		return "", false
	}
	return n.Text, true
}

// anyText is text where an empty one makes sense.
func (p *parser) anyText(n *tree.Node, want string) (string, bool) {
	if n.Null() {
		want += `, or "" for an empty text`
	}
	return p.text(n, want)
}

// filled reads a text that is not empty and holds no expression.
func (p *parser) filled(n *tree.Node, want string, most int) string {
	text, ok := p.text(n, want)
	switch {
	case !ok:
	case strings.TrimSpace(text) == "":
		p.Bad(n, "want %s", want)
	case len(text) > most:
		p.Bad(n, "has %d bytes; at most %d are allowed", len(text), most)
	case strings.Contains(text, expr.Open):
		p.Bad(n, "expressions are not evaluated here; they may stand in env, command, array and concurrency")
	}
	return text
}

// name reads a name of the trade: of a job, a task, a queue.
func (p *parser) name(n *tree.Node) string {
	text, ok := p.text(n, "a name such as my-task")
	if ok {
		p.checkName(n, text)
	}
	return text
}

func (p *parser) checkName(n *tree.Node, text string) {
	err := job.CheckName(text)
	switch {
	case err == nil:
	case text == "last" || text == "all":
		p.Bad(n, "is a reserved word; choose another name")
	case len(text) > job.MaxName:
		p.Bad(n, "has %d characters; at most %d are allowed", len(text), job.MaxName)
	default:
		near := job.NearName(text)
		if near != "" {
			near = ", such as " + near
		}
		p.Bad(n, "want a name of small letters, digits and dashes, beginning with a letter and ending with a letter or digit%s", near)
	}
}

// word reads one of a few words.
func (p *parser) word(n *tree.Node, words ...string) string {
	for _, w := range words {
		if n.Kind == tree.Scalar && n.Text == w {
			return w
		}
	}
	p.Bad(n, "want %s", oneOf(words))
	return ""
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// number reads a whole number from low to high.
func (p *parser) number(n *tree.Node, low, high int64) int64 {
	value, ok := wholeNumber(n)
	if !ok || value < low || value > high {
		p.Bad(n, "want a whole number from %d to %d", low, high)
	}
	return value
}

func wholeNumber(n *tree.Node) (int64, bool) {
	if n.Kind != tree.Scalar {
		return 0, false
	}
	digits := strings.TrimPrefix(n.Text, "-")
	if digits == "" || len(digits) > 1 && digits[0] == '0' || digits[0] < '0' || digits[0] > '9' {
		return 0, false
	}
	value, err := strconv.ParseInt(n.Text, 10, 64)
	return value, err == nil
}

// boolean reads true or false.
func (p *parser) boolean(n *tree.Node) bool {
	value, ok := n.Bool()
	if !ok {
		p.Bad(n, "want true or false, without quotes")
	}
	return value
}

// longest bounds every duration: ten years, so that sums of moments can't
// overflow.
const longest = 3650 * 24 * time.Hour

// duration reads a duration from low to longest.
func (p *parser) duration(n *tree.Node, low time.Duration) job.Duration {
	d, err := time.Duration(math.MaxInt64), error(nil)
	if n.Kind == tree.Scalar {
		d, err = job.ParseDuration(n.Text)
	}
	switch {
	case n.Kind != tree.Scalar || err != nil:
		hint := ""
		if _, isNumber := wholeNumber(n); isNumber {
			hint = "; a unit is missing: " + n.Text + "s for seconds"
		}
		p.Bad(n, "want a duration such as 90s or 1h30m%s", hint)
	case d < low:
		p.Bad(n, "want a duration of at least %s", job.FormatDuration(low))
	case d > longest:
		p.Bad(n, "want a duration of at most %s", job.FormatDuration(longest))
	}
	return job.Duration(d)
}

// moment reads a duration after the submit, or a time.
func (p *parser) moment(n *tree.Node, low time.Duration) *job.Moment {
	var m job.Moment
	if n.Kind != tree.Scalar || m.UnmarshalText([]byte(n.Text)) != nil {
		p.Bad(n, "want a duration after the submit such as 2h30m, or a time with its zone such as 2026-12-01T04:00:00Z")
		return nil
	}
	if m.At.IsZero() {
		m.In = p.duration(n, low)
	}
	return &m
}

// size reads bytes from low to high.
func (p *parser) size(n *tree.Node, low, high int64) int64 {
	size, err := int64(0), error(nil)
	if n.Kind == tree.Scalar {
		size, err = job.ParseSize(n.Text)
	}
	switch {
	case n.Kind != tree.Scalar || err != nil:
		p.Bad(n, "want a size such as 512Mi or 4G")
	case size < low || size > high:
		p.Bad(n, "want a size from %s to %s", job.FormatSize(low), job.FormatSize(high))
	}
	return size
}

// each calls read for every item of a list.
func (p *parser) each(n *tree.Node, want string, read func(item *tree.Node)) {
	if n.Kind != tree.Sequence {
		p.Bad(n, "want %s", want)
		return
	}
	for _, item := range n.Items {
		read(item)
	}
}

// pairs calls read for every pair of a mapping.
func (p *parser) pairs(n *tree.Node, want string, read func(key, value *tree.Node)) {
	if n.Kind != tree.Mapping {
		p.Bad(n, "want %s", want)
		return
	}
	for i, key := range n.Keys {
		if key.Kind == tree.Scalar {
			read(key, n.Items[i])
		}
	}
}
