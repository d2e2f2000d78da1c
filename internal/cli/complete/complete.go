// Package complete says what may stand where a word is typed: jobs, tasks, queues,
// namespaces, pools, workers and tokens, as the server knows them. It takes a moment at most,
// and is silent where there is no server.
package complete

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/client"
)

const (
	// patience bounds what a person waits for after the Tab key.
	patience = 800 * time.Millisecond
	// most is how many words are worth looking at.
	most = 100
)

// finder asks the server for the words that may stand where one is typed. A tab
// after a word sets its description off.
type finder func(ctx context.Context, cl *client.Client, word string) ([]string, error)

// Source is where words come from.
type Source struct {
	// Dial connects to the server that flags and environment name.
	Dial func() (*client.Client, error)
	// Namespace is the one that they name.
	Namespace func() string
}

// Add adds to the commands below root what their arguments and flags may be.
func (s *Source) Add(root *cobra.Command) {
	unfinished, finished := []string{"pending", "running"}, []string{"succeeded", "failed", "cancelled"}
	const many = 1 << 10
	for _, arg := range []struct {
		find     finder
		args     int
		commands []string
	}{
		{s.findRefs(nil), 1, []string{"show", "logs"}},
		{s.findRefs(nil), many, []string{"wait"}},
		{s.findRefs(unfinished), 1, []string{"explain"}},
		{s.findRefs(unfinished), many, []string{"cancel", "kill", "hold", "release"}},
		{s.findRefs(unfinished), many, []string{"update"}},
		{s.findRefs(finished), 1, []string{"retry"}},
		{s.findRefs(nil), 1, []string{"artifacts"}},
		{s.findQueues, 1, []string{"queues pause", "queues resume", "queues set", "queues show"}},
		{findNamespaces, 1, []string{"namespaces pause", "namespaces resume", "namespaces set", "namespaces show"}},
		{findPools, 1, []string{"pools set", "pools reset", "pools show"}},
		{findReservations, 1, []string{"reserve", "unreserve"}},
		{findWorkers, 1, []string{"drain"}},
		{findTokens, 1, []string{"tokens revoke"}},
	} {
		for _, name := range arg.commands {
			if c, _, err := root.Find(strings.Fields(name)); err == nil {
				c.ValidArgsFunction = s.completion(arg.find, arg.args)
			}
		}
	}
	s.addFlags(root)
}

// addFlags adds what flags may be, wherever they are.
func (s *Source) addFlags(c *cobra.Command) {
	fixed := map[string][]string{
		"backfill": {"easy", "conservative", "any", "none"},
		"order":    {"priority", "fifo", "shortest", "deadline", "fair"},
		"output":   {"table", "wide", "json", "yaml"},
		"priority": {"critical", "high", "normal", "low", "background"},
		"scope":    {"admin", "submit", "read", "worker"},
		"state":    {"pending", "running", "succeeded", "failed", "cancelled"},
	}
	found := map[string]finder{"queue": s.findQueues, "namespace": findNamespaces, "namespace-limit": findNamespaces, "name": s.findNames, "pool": findPools}
	if c.Name() == "show" {
		fixed["state"] = []string{"pending", "assigned", "running", "succeeded", "failed", "timed_out", "cancelled", "skipped"}
	}
	if c.Name() != "ls" {
		delete(found, "name") // elsewhere it is a new one
	}
	if c.Name() == "worker" {
		delete(fixed, "state") // there it is a directory
	}
	add := func(name string, f cobra.CompletionFunc) {
		if c.LocalFlags().Lookup(name) != nil && c.InheritedFlags().Lookup(name) == nil {
			_ = c.RegisterFlagCompletionFunc(name, f) // it exists, and is registered once
		}
	}
	for name, words := range fixed {
		add(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	for name, find := range found {
		add(name, s.completion(find, 0))
	}
	for _, sub := range c.Commands() {
		s.addFlags(sub)
	}
}

// completion asks the server, for a moment; without an answer it says nothing. A
// command takes so many args, and none twice; 0 is for flags.
func (s *Source) completion(find finder, takes int) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if takes > 0 && len(args) >= takes {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		cl, err := s.Dial()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer cl.Close()
		ctx, cancel := context.WithTimeout(c.Context(), patience)
		defer cancel()
		words, err := find(ctx, cl, word)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		there := map[string]bool{}
		for _, a := range args {
			there[a] = takes > 0
		}
		out := make([]cobra.Completion, 0, min(len(words), most))
		for _, w := range words {
			if name, _, _ := strings.Cut(w, "\t"); !there[name] && strings.HasPrefix(name, word) && len(out) < most {
				out = append(out, w)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// findRefs finds jobs in some states, newest first, and behind a job's id and a dot
// its tasks.
func (s *Source) findRefs(states []string) finder {
	return func(ctx context.Context, cl *client.Client, word string) ([]string, error) {
		id, rest, dot := strings.Cut(word, ".")
		if !dot {
			page, err := cl.List(ctx, &client.ListRequest{Namespace: s.Namespace(), States: states, PageSize: most})
			if err != nil {
				return nil, err
			}
			out := make([]string, 0, len(page.GetJobs())+1)
			for _, j := range page.GetJobs() {
				out = append(out, j.GetId()+"\t"+strings.TrimSpace(j.GetName()+" "+j.GetState()))
			}
			return append(out, "last\tthe newest job"), nil
		}
		if strings.Contains(rest, ".") {
			return nil, nil // an index, of which there may be millions
		}
		find := id
		if id == "last" {
			page, err := cl.List(ctx, &client.ListRequest{Namespace: s.Namespace(), PageSize: 1})
			if err != nil || len(page.GetJobs()) == 0 {
				return nil, err
			}
			find = page.GetJobs()[0].GetId()
		}
		j, err := cl.Get(ctx, find, false)
		if err != nil {
			return nil, err
		}
		out := make([]string, 0, len(j.GetTasks()))
		for _, t := range j.GetTasks() {
			out = append(out, id+"."+t.GetName()+"\t"+t.GetState())
		}
		return out, nil
	}
}

// findNames finds the names of recent jobs.
func (s *Source) findNames(ctx context.Context, cl *client.Client, _ string) ([]string, error) {
	const recent = 1000
	page, err := cl.List(ctx, &client.ListRequest{Namespace: s.Namespace(), PageSize: recent})
	if err != nil {
		return nil, err
	}
	var out []string
	seen := map[string]bool{"": true}
	for _, j := range page.GetJobs() {
		if !seen[j.GetName()] {
			seen[j.GetName()] = true
			out = append(out, j.GetName())
		}
	}
	return out, nil
}

func (s *Source) findQueues(ctx context.Context, cl *client.Client, _ string) ([]string, error) {
	all, err := cl.Queues(ctx, s.Namespace())
	return described(all, func(q *client.Queue) string { return q.GetName() + "\t" + openOrPaused(q.GetPaused()) }), err
}

func findNamespaces(ctx context.Context, cl *client.Client, _ string) ([]string, error) {
	all, err := cl.Namespaces(ctx)
	return described(all, func(n *client.Namespace) string { return n.GetName() + "\t" + openOrPaused(n.GetPaused()) }), err
}

func findWorkers(ctx context.Context, cl *client.Client, _ string) ([]string, error) {
	all, err := cl.Workers(ctx)
	return described(all, func(w *client.Worker) string { return w.GetName() + "\t" + w.GetState() }), err
}

func findReservations(ctx context.Context, cl *client.Client, _ string) ([]string, error) {
	all, err := cl.Reservations(ctx)
	return described(all, func(r *client.Reservation) string { return r.GetName() + "\t" + strings.Join(r.GetReserves(), ", ") }), err
}

func findPools(ctx context.Context, cl *client.Client, _ string) ([]string, error) {
	all, err := cl.Pools(ctx)
	return described(all, func(p *client.Pool) string { return p.GetName() + "\t" + client.PoolPolicy(p).Overcommit.String() }), err
}

func findTokens(ctx context.Context, cl *client.Client, _ string) ([]string, error) {
	all, err := cl.Tokens(ctx)
	return described(all, func(t *client.Token) string {
		if t.GetRevokedAt() != nil {
			return ""
		}
		return t.GetName() + "\t" + strings.Join(t.GetScopes(), ",")
	}), err
}

func described[T any](all []T, text func(T) string) []string {
	out := make([]string, 0, len(all))
	for _, one := range all {
		if t := text(one); t != "" {
			out = append(out, t)
		}
	}
	return out
}

func openOrPaused(paused bool) string {
	if paused {
		return "paused"
	}
	return "open"
}
