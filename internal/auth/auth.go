// Package auth answers one question purely: may this subject do this? It knows
// tokens, their scopes and namespaces, the table of what each method needs, and
// the text forms of credentials. Time, randomness and secrets come in as values;
// nothing here is kept, looked up or logged.
package auth

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnauthenticated: the credential is missing, wrong, expired or revoked.
// ErrDenied: the subject is known and may not do this.
var (
	ErrUnauthenticated = errors.New("not authenticated")
	ErrDenied          = errors.New("permission denied")
)

// Scopes is a set of what a token is for. The numbers are stored.
type Scopes uint8

// The scopes. None but Admin includes another.
const (
	// Admin includes the others, and managing tokens, namespaces, queues, workers.
	Admin Scopes = 1 << iota
	// Submit is submitting jobs and changing them: cancel, hold, retry.
	Submit
	// Read is seeing jobs, logs, queues and workers.
	Read
	// Worker is running attempts for the server.
	Worker

	allScopes = Admin | Submit | Read | Worker
)

// scopeNames is in the order in which sets are spelled.
var scopeNames = [...]string{"admin", "submit", "read", "worker"}

// String spells the set as users write it: submit,read.
func (s Scopes) String() string {
	var names []string
	for i, name := range scopeNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "no scope"
	}
	return strings.Join(names, ",")
}

// ParseScopes reads names separated by commas; at least one, each once or more.
func ParseScopes(text string) (Scopes, error) {
	var set Scopes
	for name := range strings.SplitSeq(text, ",") {
		found := false
		for i, known := range scopeNames {
			if strings.TrimSpace(name) == known {
				set |= 1 << i
				found = true
			}
		}
		if !found {
			return 0, fmt.Errorf("scope %q: want one or more of %s, separated by commas", name, strings.Join(scopeNames[:], ", "))
		}
	}
	return set, nil
}

// Subject is who asks: a verified token, or the owner of a server that listens
// on loopback without authentication.
type Subject struct {
	// ID and Name say who it is, in records and in refusals. The name is the
	// creator's choice, the id is unique.
	ID, Name string
	Scopes   Scopes
	// Namespaces are those the subject may touch; none means all of them, and
	// with them what belongs to the whole cluster.
	Namespaces []string
}

// Local is the subject of every call where authentication is switched off, which
// is allowed on loopback only.
func Local() Subject { return Subject{ID: "local", Name: "local", Scopes: Admin} }

// ClusterWide stands for the namespace of what is in none: workers, tokens,
// namespaces themselves.
const ClusterWide = ""

// Permission is what a call needs.
type Permission uint8

// The permissions. The zero value is none of them and is always refused, so that
// a forgotten one fails closed.
const (
	_ Permission = iota
	// Open needs no credential at all: liveness, version.
	Open
	// Authenticated needs any valid credential.
	Authenticated
	// ReadJobs needs scope read: jobs, logs, queues.
	ReadJobs
	// SubmitJobs needs scope submit: new jobs and changes to jobs.
	SubmitJobs
	// Work needs scope worker.
	Work
	// Administer needs scope admin.
	Administer
)

// need says which scope a permission takes and how a refusal words it.
func (p Permission) need() (scope Scopes, words string) {
	switch p {
	case Open, Authenticated:
		return 0, "call this"
	case ReadJobs:
		return Read, "read jobs"
	case SubmitJobs:
		return Submit, "submit or change jobs"
	case Work:
		return Worker, "act as a worker"
	case Administer:
		return Admin, "administer"
	}
	return 0, ""
}

// String is how a refusal words the permission: "read jobs".
func (p Permission) String() string {
	_, words := p.need()
	if words == "" {
		return fmt.Sprintf("permission %d", uint8(p))
	}
	return words
}

// Allow returns nil if s may do what p stands for in namespace, or cluster-wide
// for ClusterWide, and else an ErrDenied that says in plain words what is missing.
func Allow(s Subject, p Permission, namespace string) error {
	scope, words := p.need()
	if words == "" {
		return fmt.Errorf("%w: this call has no policy, so nobody may make it", ErrDenied)
	}
	if p == Open || p == Authenticated {
		return nil
	}
	if s.Scopes&(scope|Admin) == 0 {
		return fmt.Errorf("%w: %s may not %s%s; it needs scope %s", ErrDenied, s.who(), words, in(namespace), scope)
	}
	if len(s.Namespaces) == 0 {
		return nil
	}
	if namespace == ClusterWide {
		return fmt.Errorf("%w: %s may not %s for the whole cluster; it is limited to namespace %s",
			ErrDenied, s.who(), words, strings.Join(s.Namespaces, ", "))
	}
	if !s.Reaches(namespace) {
		return fmt.Errorf("%w: %s may not %s%s; it is limited to namespace %s",
			ErrDenied, s.who(), words, in(namespace), strings.Join(s.Namespaces, ", "))
	}
	return nil
}

// Reaches reports whether namespace is among those s may touch at all. Names are
// compared whole: no prefix or pattern stands for another namespace.
func (s Subject) Reaches(namespace string) bool {
	if len(s.Namespaces) == 0 {
		return true
	}
	for _, ns := range s.Namespaces {
		if ns == namespace && namespace != ClusterWide {
			return true
		}
	}
	return false
}

func (s Subject) who() string { return fmt.Sprintf("token %s (%s)", s.Name, s.Scopes) }

func in(namespace string) string {
	if namespace == ClusterWide {
		return ""
	}
	return " in namespace " + namespace
}
