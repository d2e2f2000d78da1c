package spaces

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// window is the flags of a reservation.
type window struct {
	client.Reservation

	from, until string
	length      time.Duration
	lead        time.Duration
}

func (e Env) reserve() *cobra.Command {
	var w window
	c := &cobra.Command{
		Use:   "reserve NAME",
		Short: "Set workers aside for a while",
		Long: `Set workers aside for a while: for the jobs of a queue (--queue), for all of a namespace (-n alone), or without both for nobody, for
maintenance. It is of whole workers, also of those that join later. What is known to end before, by its timeout or by
what was learned of it, may still start on them; what nobody knows the end of does not start within --lead of the beginning.
What runs when it begins goes on; reeve drain --stop ends that. When it is over it goes by itself. A name that there is changes.`,
		Example: `  reeve reserve night --pool gpu --from 2026-03-01T22:00:00Z --for 8h --queue night
  reeve reserve repair --workers w1,w2 --from 2h --for 30m
  reeve reserve team --where rack=a --for 1d -n team-a`,
		Args: usage.Count(1, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			w.Name, w.Namespace = args[0], e.Namespace()
			if err := w.read(time.Now()); err != nil {
				return err
			}
			r, err := cl.Reserve(ctx, &w.Reservation)
			switch {
			case err != nil:
				return err
			case e.Structured():
				return e.Message(r)
			}
			return e.Done(nil, "reservation %s sets %s aside from %s until %s for %s", args[0], workers(len(r.GetReserves())),
				render.Stamp(r.GetFrom()), render.Stamp(r.GetUntil()), whose(r))
		}),
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&w.Pool, "pool", "", "the workers of a pool, a `name`")
	f.StringSliceVar(&w.Workers, "workers", nil, "workers by their `names`, parted by commas")
	f.StringArrayVar(&w.Where, "where", nil, "workers with a `label`, key=value, or key for any value; again for more that they must have")
	f.StringVar(&w.from, "from", "", "when it begins, a `time` such as 2026-03-01T22:00:00Z, or a duration from now such as 2h (default now)")
	usage.Duration(f, &w.length, "for", "how long it lasts")
	f.StringVar(&w.until, "until", "", "when it is over, a `time`, or a duration from now, instead of --for")
	f.StringVar(&w.Queue, "queue", "", "whose jobs may start there, a `name`")
	usage.Duration(f, &w.lead, "lead", "how long before nothing starts there that nobody knows the end of (default 1h)")
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("lead") {
			w.Lead = job.FormatDuration(w.lead)
		}
		return w.check(c.Flags())
	}
	return c
}

// check looks at flags that belong together, and for what only a task's where may be.
func (w *window) check(f *pflag.FlagSet) error {
	given := func(names ...string) (n int) {
		for _, name := range names {
			if f.Changed(name) {
				n++
			}
		}
		return n
	}
	if given("pool", "workers", "where") != 1 {
		return errors.New("say which workers in one way: --pool gpu, --workers w1,w2 or --where rack=a")
	}
	if given("for", "until") != 1 {
		return errors.New("say how long in one way: --for 2h, or --until 2026-03-01T22:00:00Z")
	}
	for _, label := range w.Where {
		key, value, _ := strings.Cut(label, "=")
		if strings.HasPrefix(value, "=") || strings.ContainsAny(key, " \t\"'()!<>&|") {
			return fmt.Errorf("--where %q: want a label, rack=a or rack; expressions are for tasks", label)
		}
	}
	return nil
}

// read works out when it begins and is over.
func (w *window) read(now time.Time) error {
	from, err := moment("from", w.from, now)
	if err != nil {
		return err
	}
	until := from.Add(w.length)
	if w.until != "" {
		if until, err = moment("until", w.until, now); err != nil {
			return err
		}
	}
	w.From, w.Until = client.Time(from), client.Time(until)
	if w.from == "" {
		w.From = nil // as the server's clock has it
	}
	return nil
}

// moment reads a time, or a duration from now.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	d, err := job.ParseDuration(text)
	if err != nil {
		return now, fmt.Errorf("--%s %q: want a time such as 2026-03-01T22:00:00Z, or a duration from now such as 2h", flag, text)
	}
	return now.Add(d), nil
}

func (e Env) unreserve() *cobra.Command {
	return e.named("unreserve NAME", "End a reservation of workers", "  reeve unreserve repair", "reservation %s is removed",
		func(ctx context.Context, cl *client.Client, name string) error { return cl.Unreserve(ctx, name) })
}

func (e Env) reservations() *cobra.Command {
	return &cobra.Command{
		Use: "reservations", Short: "List for what workers are set aside", Example: "  reeve reservations", Args: usage.Count(0, 0),
		Long: `List the reservations of workers that are not over: which workers they are of, from when until when, for whom, and whether
they have begun.`,
		RunE: e.On(func(ctx context.Context, cl *client.Client, _ []string) error {
			all, err := cl.Reservations(ctx)
			if err != nil {
				return err
			}
			return list(e, all, (*client.Reservation).GetName, []string{"RESERVATION", "WORKERS", "FROM", "UNTIL", "FOR", "STATE"}, reservationRow)
		}),
	}
}

func reservationRow(r *client.Reservation) []string {
	state := "active"
	if time.Now().Before(r.GetFrom().AsTime()) {
		state = render.In(r.GetFrom())
	}
	return []string{r.GetName(), render.OrDash(strings.Join(r.GetReserves(), ",")), render.Stamp(r.GetFrom()), render.Stamp(r.GetUntil()), whose(r), state}
}

// whose is who may use what is reserved.
func whose(r *client.Reservation) string {
	switch {
	case r.GetQueue() != "":
		return "queue " + r.GetNamespace() + "/" + r.GetQueue()
	case r.GetNamespace() != "":
		return "namespace " + r.GetNamespace()
	}
	return "nobody"
}

func workers(n int) string {
	if n == 1 {
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", n)
}
