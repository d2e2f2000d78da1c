package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
)

func (e *env) ls() *cobra.Command {
	var (
		q             client.ListRequest
		since, before string
		limit         int
		all           bool
		everywhere    bool
	)
	var c *cobra.Command
	c = &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list", "ps"},
		Short:   "List jobs, newest first",
		Long: `List jobs, newest first.

With -o wide a job that has not ended shows when it is expected to have (ETA), or where nobody knows that to start, and that it
is expected to miss its deadline, if it is.`,
		Example: `  reeve ls --state running,pending
  reeve ls --label team=data --since 2d -o wide`,
		Args: usage.Count(0, 0),
		RunE: e.on(func(ctx context.Context, cl *client.Client, _ []string) error {
			if q.Namespace = e.space(); everywhere {
				q.Namespace = ""
			}
			var err error
			if since != "" {
				if q.SubmittedAfter, err = usage.Since("since", since); err != nil {
					return err
				}
			}
			if before != "" {
				if q.SubmittedBefore, err = usage.Since("before", before); err != nil {
					return err
				}
			}
			if err := usage.OnlyOne(c, "all", "limit"); err != nil {
				return err
			}
			if limit < 1 {
				return fmt.Errorf("--limit %d: want 1 or more", limit)
			}
			var damaged []string
			jobs, more, err := pages(ctx, cl, &q, limit, all, &damaged)
			if err != nil {
				return err
			}
			if len(damaged) > 0 {
				fmt.Fprintf(e.err, "reeve: can't show %s: their records on the server's disk are damaged; its log says more\n", strings.Join(damaged, ", "))
			}
			return e.printJobs(jobs, more, everywhere)
		}),
	}
	f := c.Flags()
	f.StringSliceVarP(&q.States, "state", "s", nil, "only in these `states`: pending, running, succeeded, failed, cancelled")
	f.StringVar(&q.Name, "name", "", "only of this `name`")
	f.StringVar(&q.Queue, "queue", "", "only of this `queue`")
	f.StringSliceVarP(&q.Labels, "label", "l", nil, "only with this label, `key=value` or key; may be repeated")
	f.StringVar(&since, "since", "", "submitted since: a duration such as 2h, or a `time` (RFC 3339)")
	f.StringVar(&before, "before", "", "submitted before: a duration such as 2h, or a `time` (RFC 3339)")
	f.IntVar(&limit, "limit", 50, "at most this `number` of jobs")
	f.BoolVar(&all, "all", false, "all there are")
	f.BoolVarP(&everywhere, "all-namespaces", "A", false, "of every namespace")
	return c
}

func pages(ctx context.Context, cl *client.Client, q *client.ListRequest, limit int, all bool, damaged *[]string) (jobs []*client.Job, more bool, err error) {
	const most = 1000
	for {
		q.PageSize = most
		if !all {
			q.PageSize = int32(min(limit-len(jobs), most))
		}
		page, err := cl.List(ctx, q)
		if err != nil {
			return nil, false, err
		}
		jobs, *damaged = append(jobs, page.GetJobs()...), append(*damaged, page.GetDamaged()...)
		q.PageToken = page.GetNextPageToken()
		if q.PageToken == "" || !all && len(jobs) >= limit {
			return jobs, q.PageToken != "", nil
		}
	}
}

func (e *env) printJobs(jobs []*client.Job, more, everywhere bool) error {
	switch {
	case e.Structured():
		return render.List(&e.Printer, jobs)
	case e.Quiet:
		for _, j := range jobs {
			fmt.Fprintln(e.Out, j.GetId())
		}
		return nil
	}
	header := []string{"JOB", "NAME", "STATE", "DONE", "AGE", "TOOK", "CAUSE"}
	if e.Format == "wide" {
		header = []string{"JOB", "NAME", "STATE", "DONE", "AGE", "TOOK", "ETA", "CAUSE", "QUEUE", "PRIORITY", "BY", "LABELS"}
	}
	if everywhere {
		header = slices.Insert(header, 1, "NAMESPACE")
	}
	rows := make([][]string, 0, len(jobs))
	for _, j := range jobs {
		c := j.GetCounts()
		row := []string{
			j.GetId(), render.OrDash(j.GetName()), jobState(j), fmt.Sprintf("%d/%d", render.Ended(c), c.GetTotal()), render.Ago(j.GetSubmittedAt()),
			render.Took(j.GetStartedAt(), j.GetEndedAt()),
		}
		if e.Format == "wide" {
			row = append(row, render.ETA(j), render.OrDash(cmp.Or(j.GetCause(), j.GetDeadlineWarning())), j.GetQueue(), fmt.Sprint(j.GetPriority()), j.GetSubmittedBy(), render.OrDash(render.Labels(j.GetLabels())))
		} else {
			row = append(row, render.OrDash(j.GetCause()))
		}
		if everywhere {
			row = slices.Insert(row, 1, j.GetNamespace())
		}
		rows = append(rows, row)
	}
	if err := e.Table(header, rows); err != nil {
		return err
	}
	if more {
		fmt.Fprintln(e.err, "there are more: use --limit or --all")
	}
	return nil
}

// jobState is a job's state and what holds it up or ends it.
func jobState(j *client.Job) string {
	state := j.GetState()
	if client.Ended(j) {
		return state
	}
	if j.GetHeld() {
		state += ", held"
	}
	if j.GetCancelRequested() {
		state += ", cancelling"
	}
	return state
}
