package jobfile

import (
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

const wantArray = "want indexes such as 0-31, 1,3,5, 1-7:2 or 0-999%4, or a mapping of each or indexes, and throttle"

// array reads which elements a task has.
func (p *parser) array(n *tree.Node) *job.Array {
	a := &job.Array{}
	switch n.Kind {
	case tree.Sequence:
		p.Bad(n, "want indexes or a mapping; a list of items goes under each: {each: [a, b]}")
	case tree.Scalar:
		p.arrayText(n, a)
	case tree.Mapping:
		p.arrayMapping(n, a)
	}
	return a
}

// arrayText reads the short forms: indexes, or an expression.
func (p *parser) arrayText(n *tree.Node, a *job.Array) {
	if strings.Contains(n.Text, expr.Open) {
		a.From = p.arrayFrom(n)
		return
	}
	if count, ok := wholeNumber(n); ok && count >= 0 {
		p.Bad(n, "could mean %d elements or the one index %d; write 0-%d for the first, {indexes: \"%d\"} for the second",
			count, count, max(count-1, 0), count)
		return
	}
	p.indexes(n, a)
}

// indexes reads 0-31%4.
func (p *parser) indexes(n *tree.Node, a *job.Array) {
	if n.Kind != tree.Scalar || n.Null() || n.Text == "" {
		p.Bad(n, "%s", wantArray)
		return
	}
	ranges, throttle, err := job.ParseRanges(n.Text)
	if err != nil {
		p.Fail(n, "%s", strings.TrimPrefix(err.Error(), "array "))
		return
	}
	if a.Ranges = ranges; throttle > 0 {
		a.Throttle = throttle
	}
}

func (p *parser) arrayMapping(n *tree.Node, a *job.Array) {
	sources := 0
	for _, key := range []string{"indexes", "each", "blob"} {
		if n.Get(key) != nil {
			sources++
		}
	}
	if sources != 1 {
		p.Fail(n, "want exactly one of indexes and each")
	}
	p.fields(n, []field{
		{"indexes", func(n *tree.Node) { p.indexes(n, a) }},
		{"each", func(n *tree.Node) { p.arrayEach(n, a) }},
		{"blob", func(n *tree.Node) { a.Blob = p.blobKey(n) }},
		{"count", func(n *tree.Node) { a.Count = p.number(n, 1, job.MaxElements) }},
		{"throttle", func(n *tree.Node) { a.Throttle = p.number(n, 1, job.MaxElements) }},
	}, nil)
	if blob, count := n.Get("blob"), n.Get("count"); (blob == nil) != (count == nil) {
		p.Fail(n, "blob and count go together; want a list of items under each")
	}
	if at, text := n.Get("throttle"), n.Get("indexes"); at != nil && text != nil && strings.Contains(text.Text, "%") {
		p.Fail(at, "stands beside the %% in indexes; leave one of them out")
	}
}

// blobKey reads the key of a blob of items, as recorded specs have it.
func (p *parser) blobKey(n *tree.Node) string {
	key := p.filled(n, "a blob's key", maxKey)
	for i := range len(key) {
		c := key[i]
		if c <= ' ' || c > '~' || c == '\\' {
			p.Bad(n, "want a blob's key")
			break
		}
	}
	if strings.Contains(key, "..") || strings.HasPrefix(key, "/") {
		p.Bad(n, "want a blob's key")
	}
	return key
}

// arrayEach reads items: a list, lines of a text, or an expression.
func (p *parser) arrayEach(n *tree.Node, a *job.Array) {
	const want = "a list of items, {lines: TEXT}, or an expression such as ${{ params.shards }}"
	switch n.Kind {
	case tree.Scalar:
		if !strings.Contains(n.Text, expr.Open) {
			p.Bad(n, "want %s", want)
			return
		}
		a.From = p.arrayFrom(n)
		return
	case tree.Sequence:
		a.Items = make([]string, len(n.Items))
		for i, item := range n.Items {
			a.Items[i], _ = p.anyText(item, "an item")
			if strings.Contains(a.Items[i], expr.Open) {
				p.Bad(item, "expressions are not evaluated in single items; let one expression yield the whole list")
			}
		}
	case tree.Mapping:
		p.fields(n, []field{{"lines", func(n *tree.Node) {
			text, ok := p.text(n, "a text of one item per line")
			if ok {
				a.Items = lines(text)
			}
		}}}, nil)
	}
	switch count := len(a.Items); {
	case count == 0:
		p.Fail(n, "want at least one item")
	case count > job.MaxElements:
		p.Fail(n, "has %d items; at most %d are allowed", count, job.MaxElements)
	}
}

// lines splits a text into its lines; empty ones are left out.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// arrayFrom reads the expression that an array is made from.
func (p *parser) arrayFrom(n *tree.Node) string {
	text := strings.TrimSpace(n.Text)
	if e, ok := expr.Whole(text); ok {
		return e.Wrapped()
	}
	if _, err := expr.Parse(text); err != nil {
		p.exprError(n, err)
		return ""
	}
	p.Bad(n, "want one whole expression such as ${{ params.shards }}, which yields a number or a list; %%N goes into throttle")
	return ""
}
