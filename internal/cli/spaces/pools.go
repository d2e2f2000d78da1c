package spaces

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e Env) pools() *cobra.Command {
	c := &cobra.Command{
		Use:   "pools",
		Short: "List pools of workers, and change how they are given away",
		Long: `List the pools that have workers or a setting: how many workers are connected of how many there are, how many attempts
run in how many slots, and how much attempts have of what there is to be given away.`,
		Example: `  reeve pools
  reeve pools set night --overcommit cpu=2,memory=1.5`,
		Args: usage.Subcommand,
		RunE: e.On(func(ctx context.Context, cl *client.Client, _ []string) error {
			all, err := cl.Pools(ctx)
			if err != nil {
				return err
			}
			return list(e, all, (*client.Pool).GetName, []string{"POOL", "WORKERS", "RUNNING", "CPU", "MEMORY", "OTHER", "OVERCOMMIT"}, poolRow)
		}),
	}
	c.AddCommand(e.setPool(), e.showPool(), e.resetPool())
	return c
}

func poolRow(p *client.Pool) []string {
	used, offers := p.GetUsed(), p.GetOffers()
	return []string{
		p.GetName(), fmt.Sprintf("%d/%d", p.GetWorkersLive(), p.GetWorkers()), fmt.Sprintf("%d/%d", p.GetRunning(), p.GetSlots()),
		job.FormatCPU(used.GetCpuMilli()) + "/" + job.FormatCPU(offers.GetCpuMilli()),
		render.Mebibytes(used.GetMemoryBytes()) + "/" + render.Mebibytes(offers.GetMemoryBytes()),
		render.OrDash(othersOf(p)), client.PoolPolicy(p).Overcommit.String(),
	}
}

// othersOf is how much attempts have of what has no column of its own.
func othersOf(p *client.Pool) string {
	used, offers := p.GetUsed().GetResources(), p.GetOffers().GetResources()
	names := slices.AppendSeq(slices.Collect(maps.Keys(offers)), maps.Keys(used))
	slices.Sort(names)
	var parts []string
	for _, name := range slices.Compact(names) {
		parts = append(parts, name+" "+job.FormatAmount(name, used[name])+"/"+job.FormatAmount(name, offers[name]))
	}
	return strings.Join(parts, ", ")
}

func (e Env) setPool() *cobra.Command {
	var p poolFlags
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Change how the workers of a pool are given away",
		Long: `Change how the workers of a pool are given away. With --overcommit cpu=2 attempts are given up to twice the processors that
each worker has, for jobs that ask for more than they use; with memory=0.9 a tenth is kept for what is not Reeve's. Factors
are from 0.1 to 100, and what is not named is given away as it is. Devices are never more than there are. What an
attempt is told that it has does not change, and what runs goes on. A worker still runs as many attempts as it has slots.`,
		Example: `  reeve pools set night --overcommit cpu=2,memory=1.5
  reeve pools set default --overcommit memory=0.9`,
		Args: usage.Count(1, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			return e.changePool(ctx, cl, args[0], p.change)
		}),
	}
	p.add(c)
	needsFlag(c, "--overcommit cpu=2")
	return c
}

func (e Env) resetPool() *cobra.Command {
	return &cobra.Command{
		Use: "reset NAME", Short: "Give the workers of a pool away as they are", Example: "  reeve pools reset night", Args: usage.Count(1, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			p, err := cl.UpdatePool(ctx, args[0], job.PoolChange{Overcommit: &job.Factors{}}, true)
			switch {
			case err != nil:
				return err
			case e.Structured():
				return e.Message(p)
			}
			return e.Done(nil, "pool %s is given away as it is", args[0])
		}),
	}
}

func (e Env) changePool(ctx context.Context, cl *client.Client, name string, how job.PoolChange) error {
	p, err := cl.UpdatePool(ctx, name, how, false)
	switch {
	case err != nil:
		return err
	case e.Structured():
		return e.Message(p)
	case p.GetWorkers() == 0:
		return e.Done(nil, "pool %s is changed; no worker is in it so far", name)
	}
	return e.Done(nil, "pool %s is changed", name)
}

func (e Env) showPool() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show how a pool is given away", Example: "  reeve pools show night", Args: usage.Count(1, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			p, err := cl.Pool(ctx, args[0])
			if err != nil {
				return err
			}
			row := poolRow(p)
			return show(e, p, [][2]string{
				{"pool", row[0]}, {"workers", row[1]}, {"running", row[2]}, {"cpu", row[3]}, {"memory", row[4]}, {"other", row[5]}, {"overcommit", row[6]},
			})
		}),
	}
}
