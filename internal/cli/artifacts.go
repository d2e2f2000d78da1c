package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e *env) artifacts() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "artifacts REF [PATH]",
		Short: "List the files that a job, task or element left, or get one of them",
		Example: `  reeve artifacts last
  reeve artifacts 4217.report summary.txt --to summary.txt`,
		Args: usage.Count(1, 2),
		RunE: e.on(func(ctx context.Context, cl *client.Client, args []string) error {
			ref, err := e.ref(ctx, cl, args[0])
			if err != nil {
				return err
			}
			if len(args) == 2 {
				return e.fetch(ctx, cl, ref.String(), args[1], to)
			}
			files, err := cl.Artifacts(ctx, ref.String())
			if err != nil {
				return err
			}
			if e.Structured() {
				return render.List(&e.Printer, files)
			}
			if e.Quiet {
				for _, f := range files {
					fmt.Fprintln(e.Out, f.GetPath())
				}
				return nil
			}
			rows := make([][]string, 0, len(files))
			for _, f := range files {
				rows = append(rows, []string{f.GetRef(), f.GetPath(), job.FormatSize(f.GetSize())})
			}
			return e.Table([]string{"OF", "PATH", "SIZE"}, rows)
		}),
	}
	c.Flags().StringVar(&to, "to", "-", "the `file` to write; - is standard output")
	return c
}

func (e *env) fetch(ctx context.Context, cl *client.Client, ref, path, to string) error {
	if to == "-" {
		return cl.Artifact(ctx, ref, path, e.Out)
	}
	out := render.NewFile(to)
	if err := cl.Artifact(ctx, ref, path, out); err != nil {
		return errors.Join(err, out.Remove())
	}
	return out.Close()
}
