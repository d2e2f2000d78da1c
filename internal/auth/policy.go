package auth

import (
	"fmt"
	"strings"
)

// Entry says what one method needs. Method is the full name as the descriptor
// spells it: reeve.v1.JobService/Submit.
type Entry struct {
	Method string
	Needs  Permission
}

// Policy is the table of what each method needs, unary and stream alike. It is
// made once and may be read concurrently.
type Policy struct {
	entries []Entry
	needs   map[string]Permission
}

// NewPolicy makes a policy. A method named twice, without a name or without a
// permission is an error.
func NewPolicy(entries []Entry) (*Policy, error) {
	p := &Policy{entries: entries, needs: make(map[string]Permission, len(entries))}
	for _, e := range entries {
		_, twice := p.needs[e.Method]
		_, words := e.Needs.need()
		switch {
		case e.Method == "":
			return nil, fmt.Errorf("policy: an entry has no method name")
		case words == "":
			return nil, fmt.Errorf("policy: method %s has no permission", e.Method)
		case twice:
			return nil, fmt.Errorf("policy: method %s stands there twice", e.Method)
		}
		p.needs[e.Method] = e.Needs
	}
	return p, nil
}

// Needs returns what method takes, by exact name, without a slash in front or
// with it. A method that is not in the table takes the zero Permission, which
// Allow refuses to everybody.
func (p *Policy) Needs(method string) Permission {
	return p.needs[strings.TrimPrefix(method, "/")]
}

// Check reports the methods that have no entry, and the entries that name none of
// the methods: a renamed method would otherwise be closed without anybody
// noticing why. A server calls it with its descriptors before it listens.
func (p *Policy) Check(methods []string) error {
	known := make(map[string]bool, len(methods))
	var missing, stale []string
	for _, m := range methods {
		m = strings.TrimPrefix(m, "/")
		known[m] = true
		if p.needs[m] == 0 {
			missing = append(missing, m)
		}
	}
	for _, e := range p.entries {
		if !known[e.Method] {
			stale = append(stale, e.Method)
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("policy: no permission is set for %s; add an entry for each", strings.Join(missing, ", "))
	case len(stale) > 0:
		return fmt.Errorf("policy: no such method: %s; remove or rename the entry", strings.Join(stale, ", "))
	}
	return nil
}
