// Package simulate is the command simulate: what would happen, and what would have
// happened, under another policy or on another fleet.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/outcome"
	"github.com/reeve-scheduler/reeve/internal/simulate"
	"github.com/reeve-scheduler/reeve/internal/workload"
)

// Env is what the command has of the command line. All of it is required.
type Env struct {
	*render.Printer

	In  io.Reader
	Err io.Writer
	// Dial connects to a server, for its history.
	Dial func() (*client.Client, error)
	// Space is the namespace to use.
	Space func() string
}

// options is what flags say.
type options struct {
	Env

	source   source
	fleet    []string
	policies []string
	checked  bool
	window   int
	at       []int
	warmUp   string
	price    float64

	csv, chart, swf string
}

// Command is the command.
func (e Env) Command() *cobra.Command {
	o := options{Env: e}
	c := &cobra.Command{
		Use:   "simulate [FILE]",
		Short: "Run a workload in virtual time, by several policies side by side",
		Long: `Run jobs in virtual time and say how they fared: by Reeve's own core and plan, which decide here as they do in a
server, and by policies of the literature.

The jobs are those of FILE, a log in the Standard Workload Format (.swf, .swf.gz) or a list of tasks (.csv); - is
standard input. Or they are drawn by the Lublin–Feitelson model (--model), or are what the cluster ran (--history).

A policy is reeve, whose queues order=, backfill=, ageing= and half-life= serve in another way, with commas, as
reeve queues set does; recorded (what the log says); one of these, or key=value pairs with commas, alone or after a name:

` + policies() + `
docs/simulate.md says what the words mean, where they come from, and how published results are repeated.`,
		Example: `  reeve simulate log.swf.gz --policy reeve --policy easy --policy easy++
  reeve simulate log.swf --policy easy,estimate=actual --window 1024 --at 0,5000
  reeve simulate --model --jobs 100000 --procs 512 --load 0.9 --users 50 --repeat 8 --overestimate 5 --policy aged --policy easy++
  reeve simulate --history --since 7d --workers n=8,cpu=16,memory=64Gi --policy reeve --policy reeve,order=fair,half-life=12h
  reeve simulate tasks.csv --workers n=2,cpu=8 --chart tasks.svg`,
		Args: usage.Count(0, 1),
	}
	f := c.Flags()
	f.SortFlags = false
	o.source.flags(f)
	f.StringArrayVarP(&o.policies, "policy", "p", []string{ours}, "a `policy`; may be repeated, to compare")
	f.StringArrayVar(&o.fleet, "workers", nil, "`workers` to run on, such as n=8,cpu=16,memory=64Gi,label=gpu; may be repeated (default: one with the log's processors; with --history: the cluster's)")
	f.BoolVar(&o.checked, "checked", false, "let the core check and carry out what policies of the literature propose: the same result, more slowly")
	f.IntVar(&o.window, "window", 0, "run windows of this `number` of jobs, each on an empty machine, instead of the whole")
	f.IntSliceVar(&o.at, "at", nil, "where windows begin, as `places` of jobs counted from 0 (default: one after the other)")
	f.StringVar(&o.warmUp, "warm-up", "", "leave the first jobs out of the figures: a `number` of them, or a duration")
	f.Float64Var(&o.price, "price", 0, "what a processor costs in an hour, a `number`")
	f.StringVar(&o.csv, "csv", "", "write all figures into a `file` of comma-separated values, - for standard output")
	f.StringVar(&o.chart, "chart", "", "draw the figures into an SVG `file`")
	f.StringVar(&o.swf, "swf", "", "write what happened into a log, a `file` in the Standard Workload Format, for one policy")
	c.RunE = func(c *cobra.Command, args []string) error { return o.run(c.Context(), c.Flags(), args) }
	return c
}

func (o *options) run(ctx context.Context, f *pflag.FlagSet, args []string) error {
	if err := o.check(f); err != nil {
		return err
	}
	rules, err := warmUp(o.warmUp)
	if err != nil {
		return err
	}
	rules.Price = o.price
	by, err := parsePolicies(o.policies)
	if err != nil {
		return err
	}
	fleet, err := parseFleet(o.fleet)
	if err != nil {
		return err
	}
	in, err := o.source.read(ctx, &o.Env, args, fleet)
	if err != nil {
		return err
	}
	if len(in.trace.Jobs) == 0 {
		return fmt.Errorf("%s: no job is left to run; %s", in.name, strings.Join(in.told, "; "))
	}
	if fleet == nil {
		fleet = in.fleet
	}
	windows, err := o.windows(in.trace)
	if err != nil {
		return err
	}
	out := report{Workload: in.name, Jobs: len(in.trace.Jobs), Processors: float64(simulate.Total(fleet)) / 1000, Told: in.told}
	out.Load = float64(in.trace.Load(1)) / out.Processors / 1000
	for _, p := range by {
		r := result{Policy: p.name}
		for _, w := range windows {
			ran, err := o.one(w.trace, fleet, p)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if o.swf != "" {
				if err := o.writeSWF(w.trace, ran); err != nil {
					return err
				}
			}
			figures := outcome.Measure(ran, rules)
			if o.window > 0 {
				r.Windows = append(r.Windows, window{At: w.at, Figures: figures})
			}
			r.all = append(r.all, figures)
		}
		r.Figures = outcome.Mean(r.all)
		out.Results = append(out.Results, r)
	}
	return o.print(&out)
}

// check refuses flags that don't go together.
func (o *options) check(f *pflag.FlagSet) error {
	switch {
	case f.Changed("window") && o.window < 1:
		return fmt.Errorf("--window %d: want 1 or more", o.window)
	case len(o.at) > 0 && o.window == 0:
		return errors.New("--at says where windows begin; --window says how long they are")
	case o.price < 0:
		return fmt.Errorf("--price %g: want 0 or more", o.price)
	case o.swf != "" && (len(o.policies) > 1 || o.window > 0):
		return errors.New("--swf writes one log: want one --policy and no --window")
	}
	return o.source.check(f)
}

// one runs a workload by a policy.
func (o *options) one(t *workload.Trace, fleet []simulate.Worker, p policy) (*outcome.Run, error) {
	procs := simulate.Total(fleet) / 1000
	switch {
	case p.name == recorded:
		return simulate.Recorded(t, procs)
	case p.classic == nil:
		return simulate.Cluster(t, fleet, p.served, nil)
	case o.checked:
		return simulate.Cluster(t, simulate.Processors(procs), job.QueueChange{}, p.classic)
	}
	start, err := simulate.Machine(t, *p.classic, procs)
	if err != nil {
		return nil, err
	}
	return simulate.Ran(t, start, procs), nil
}

// place is where a window begins.
type place struct {
	at    int
	trace *workload.Trace
}

// windows cuts a workload.
func (o *options) windows(t *workload.Trace) (out []place, err error) {
	if o.window == 0 {
		return []place{{0, t}}, nil
	}
	at := o.at
	for k := 0; len(o.at) == 0 && k+o.window <= len(t.Jobs); k += o.window {
		at = append(at, k)
	}
	if len(at) == 0 {
		return nil, fmt.Errorf("--window %d: there are %d jobs", o.window, len(t.Jobs))
	}
	for _, k := range at {
		if k < 0 || k+o.window > len(t.Jobs) {
			return nil, fmt.Errorf("--at %d: a window of %d jobs begins at 0 to %d", k, o.window, len(t.Jobs)-o.window)
		}
		out = append(out, place{k, t.Window(k, o.window)})
	}
	return out, nil
}
