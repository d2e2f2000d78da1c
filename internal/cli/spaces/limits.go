package spaces

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
)

func (e Env) limits() *cobra.Command {
	c := &cobra.Command{
		Use:   "limits [KEY]",
		Short: "List concurrency keys, who holds them and what waits",
		Long: `List the concurrency keys of a namespace that unfinished jobs name: how many slots of each are held, and by whom. With a
key, list who holds it, and what waits for it in order: since when it holds its slot, or has been submitted.`,
		Example: `  reeve limits
  reeve limits deploy
  reeve limits release deploy --holder 4217`,
		Args: usage.Count(0, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			var all []*client.ConcurrencyKey
			err := cl.Keys(ctx, e.Namespace(), strings.Join(args, ""), func(k *client.ConcurrencyKey) error {
				all = append(all, k)
				return nil
			})
			switch {
			case err != nil:
				return err
			case len(args) == 0:
				return list(e, all, (*client.ConcurrencyKey).GetKey, []string{"KEY", "OF", "HELD", "WAITING", "HOLDERS"}, keyRow)
			case len(all) == 0:
				return fmt.Errorf("no unfinished job names concurrency key %q; reeve limits lists those that are named", args[0])
			case e.Structured():
				return render.OneOrList(e.Printer, all)
			}
			return e.keyTable(all)
		}),
	}
	c.AddCommand(e.releaseSlot())
	return c
}

func keyRow(k *client.ConcurrencyKey) []string {
	var names []string
	for _, u := range k.GetHolders() {
		names = append(names, u.GetRef())
	}
	const most = 3
	if more := k.GetHeld() - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return []string{k.GetKey(), k.GetOf(), heldText(k), fmt.Sprint(k.GetWaiting()), render.OrDash(strings.Join(names, " "))}
}

func heldText(k *client.ConcurrencyKey) string {
	if k.GetLimit() == 0 {
		return fmt.Sprint(k.GetHeld())
	}
	return fmt.Sprintf("%d/%d", k.GetHeld(), k.GetLimit())
}

// keyTable lists who holds a key, of jobs or of attempts, and what waits for it.
func (e Env) keyTable(all []*client.ConcurrencyKey) error {
	var rows [][]string
	add := func(k *client.ConcurrencyKey, state string, ref string, since *client.Timestamp) {
		if e.Quiet {
			fmt.Fprintln(e.Out, ref)
		}
		rows = append(rows, []string{k.GetOf(), ref, state, render.Ago(since)})
	}
	for _, k := range all {
		for _, u := range k.GetHolders() {
			add(k, "holds", u.GetRef(), u.GetSince())
		}
		if more := k.GetHeld() - int64(len(k.GetHolders())); more > 0 {
			rows = append(rows, []string{k.GetOf(), fmt.Sprintf("%d more", more), "holds", "-"})
		}
		for _, u := range k.GetWaiters() {
			add(k, "waits", u.GetRef(), u.GetSince())
		}
		if more := k.GetWaiting() - int64(len(k.GetWaiters())); more > 0 {
			rows = append(rows, []string{k.GetOf(), fmt.Sprintf("%d more", more), "waits", "-"})
		}
	}
	if e.Quiet {
		return nil
	}
	return e.Table([]string{"OF", "REF", "STATE", "SINCE"}, rows)
}

func (e Env) releaseSlot() *cobra.Command {
	var holder string
	c := &cobra.Command{
		Use:   "release KEY --holder REF",
		Short: "Take a slot from its holder, which goes on without one",
		Long: `Take a slot of a concurrency key from its holder, so that the next in order may have it. The holder goes on: two may run
then that were not meant to. A slot is free by itself when its holder has ended; reeve cancel ends it.`,
		Example: `  reeve limits release deploy --holder 4217
  reeve limits release warehouse --holder 4217.load.3`,
		Args: usage.Count(1, 1),
		PreRunE: func(*cobra.Command, []string) error {
			if holder == "" {
				return fmt.Errorf("limits release: name the holder, such as --holder 4217; reeve limits KEY lists them")
			}
			return nil
		},
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			if err := cl.ReleaseSlot(ctx, e.Namespace(), args[0], holder); err != nil {
				return err
			}
			return e.Done(map[string]any{"key": args[0], "holder": holder}, "%s goes on without its slot of %s", holder, args[0])
		}),
	}
	c.Flags().StringVar(&holder, "holder", "", "the job that holds the slot, or the `ref` of an element whose attempt does")
	return c
}
