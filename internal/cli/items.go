package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/bars"
	"github.com/reeve-scheduler/reeve/internal/cli/items"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// itemFlags say where an array's items come from.
type itemFlags struct {
	lines, json string
	throttle    int64
}

func (f *itemFlags) add(c *cobra.Command, file string) {
	c.Flags().StringVar(&f.lines, "each-line", "", "an array with an element for each line of "+file+", - for standard input; empty lines are left out")
	c.Flags().StringVar(&f.json, "each-json", "", "an array with an element for each value of a JSON list, or of JSON lines, in "+file)
	c.Flags().Int64Var(&f.throttle, "throttle", 0, "of an array: at most this `number` of elements at a time")
}

func (f *itemFlags) given() bool { return f.lines != "" || f.json != "" }

// source is the file's name.
func (f *itemFlags) source() string { return f.lines + f.json }

// check looks at what needs no file.
func (f *itemFlags) check(c *cobra.Command) error {
	if err := usage.OnlyOne(c, "array", "each-line", "each-json"); err != nil {
		return err
	}
	for _, name := range []string{"each-line", "each-json"} {
		if c.Flags().Changed(name) && c.Flags().Lookup(name).Value.String() == "" {
			return fmt.Errorf("--%s: want a file, or - for standard input", name)
		}
	}
	if c.Flags().Changed("throttle") && (f.throttle < 1 || f.throttle > job.MaxElements) {
		return fmt.Errorf("--throttle %d: want 1 to %d", f.throttle, job.MaxElements)
	}
	return nil
}

// array reads the items, and has put store them where they are many.
func (e *env) array(ctx context.Context, put items.Put, f *itemFlags, file string) (*job.Array, error) {
	in, size := waiting(ctx, e.in), int64(0)
	name := file
	if file == "-" {
		name = "standard input"
	} else {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("items %s: %w", file, cause(err))
		}
		defer opened.Close()
		if info, err := opened.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		in = opened
	}
	bar := bars.NewUpload(e.bars(), "items of "+name, size)
	defer bar.Stop()
	in = bar.Reader(in)
	all := items.Lines(in, name)
	if f.json != "" {
		all = items.JSON(in, name)
	}
	a, err := items.Store(ctx, put, all)
	if err != nil {
		return nil, err
	}
	if a.Len() == 0 {
		return nil, fmt.Errorf("items %s: there are none", name)
	}
	a.Throttle = f.throttle
	return a, nil
}
