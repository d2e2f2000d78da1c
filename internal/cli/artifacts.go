package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

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
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			ref, err := e.ref(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			if len(args) == 2 {
				return e.fetch(c, cl, ref.String(), args[1], to)
			}
			files, err := cl.Artifacts(c.Context(), ref.String())
			if err != nil {
				return err
			}
			if e.structured() {
				return list(e, files)
			}
			rows := make([][]string, 0, len(files))
			for _, f := range files {
				rows = append(rows, []string{f.GetRef(), f.GetPath(), job.FormatSize(f.GetSize())})
			}
			return e.table([]string{"OF", "PATH", "SIZE"}, rows)
		},
	}
	c.Flags().StringVar(&to, "to", "-", "the file to write; - is standard output")
	return c
}

func (e *env) fetch(c *cobra.Command, cl *client.Client, ref, path, to string) (err error) {
	var out = e.out
	if to != "-" {
		f, err := os.Create(to)
		if err != nil {
			return fmt.Errorf("artifact %s: %w", path, err)
		}
		defer func() {
			if closeErr := f.Close(); err == nil {
				err = closeErr
			}
		}()
		out = f
	}
	return cl.Artifact(c.Context(), ref, path, out)
}
