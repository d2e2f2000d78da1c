// Package usage says what is wrong with a command line: what is missing, too much,
// misspelled or contradicts itself, on one line that names the remedy.
package usage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/reeve-scheduler/reeve/internal/agent/inventory"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Count accepts least to most arguments, any number if most is negative, and says
// what is missing or too much in the words of the command's usage.
func Count(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		usage := strings.TrimSuffix(c.UseLine(), " [flags]")
		switch {
		case len(args) < least && len(args) == 0:
			return fmt.Errorf("%s: nothing is named; usage: %s (see %s --help)", name(c), usage, c.CommandPath())
		case len(args) < least:
			return fmt.Errorf("%s: an argument is missing; usage: %s (see %s --help)", name(c), usage, c.CommandPath())
		case most >= 0 && len(args) > most:
			return fmt.Errorf("%s: %q is too much; usage: %s (see %s --help)", name(c), args[most], usage, c.CommandPath())
		}
		return nil
	}
}

// name is a command's name without the program's: tokens create.
func name(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}

// Subcommand accepts no argument, as the Args of a command with subcommands: one would be an unknown command.
func Subcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", strings.TrimPrefix(c.CommandPath()+" "+args[0], c.Root().Name()+" "))
	c.SuggestionsMinimumDistance = 2
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		text += "; did you mean " + strings.Join(like, " or ") + "?"
	}
	return fmt.Errorf("%s (see %s --help)", text, c.CommandPath())
}

// Help is the command help, which knows what it is asked about or says that it does
// not.
func Help() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Print what a command does",
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var out []cobra.Completion
			if of, _, err := c.Root().Find(args); err == nil {
				for _, sub := range of.Commands() {
					if sub.IsAvailableCommand() {
						out = append(out, cobra.CompletionWithDesc(sub.Name(), sub.Short))
					}
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return Subcommand(of, rest)
			}
			return of.Help()
		},
	}
}

// FlagError says what is wrong with a flag in the words of this program.
func FlagError(c *cobra.Command, err error) error {
	see := fmt.Sprintf("(see %s --help)", c.CommandPath())
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := e.GetSpecifiedName()
		if short := e.GetSpecifiedShortnames(); short != "" {
			return fmt.Errorf("unknown flag -%s; what begins with - but is no flag goes after -- %s", short, see)
		}
		text := "unknown flag --" + name
		if like := similarFlags(c, name); len(like) > 0 {
			text += "; did you mean --" + strings.Join(like, " or --") + "?"
		}
		return fmt.Errorf("%s %s", text, see)
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return fmt.Errorf("--%s needs a value %s", e.GetFlag().Name, see)
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := e.GetFlag()
		return fmt.Errorf("--%s %q: %s %s", f.Name, e.GetValue(), wanted(f, e), see)
	}
	return fmt.Errorf("%w %s", err, see)
}

// wanted is what a flag's value should have been.
func wanted(f *pflag.Flag, err *pflag.InvalidValueError) string {
	switch f.Value.Type() {
	case "int", "int64":
		return "want a whole number"
	case "bool":
		return "want true or false"
	}
	return err.Unwrap().Error()
}

// OnlyOne refuses more than one of flags that contradict each other.
func OnlyOne(c *cobra.Command, names ...string) error {
	var set []string
	for _, name := range names {
		if f := c.Flags().Lookup(name); f != nil && f.Changed {
			set = append(set, "--"+name)
		}
	}
	if len(set) > 1 {
		return fmt.Errorf("%s contradict each other; leave one out", strings.Join(set, " and "))
	}
	return nil
}

// similarFlags are the flags of a command that are spelled much like a name.
func similarFlags(c *cobra.Command, name string) []string {
	var all cobra.Command // which knows which words are alike
	all.SuggestionsMinimumDistance = 2
	for _, set := range []*pflag.FlagSet{c.LocalFlags(), c.InheritedFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				all.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
			}
		})
	}
	like := all.SuggestionsFor(name)
	slices.Sort(like)
	return slices.Compact(like)
}

// durationValue is a flag that is written as in job files: 90s, 1h30m, 2d.
type durationValue struct{ to *time.Duration }

// Duration adds a flag that is written as in job files, with nothing as its default.
func Duration(f *pflag.FlagSet, to *time.Duration, name, usage string) {
	f.Var(&durationValue{to}, name, usage)
}

// Set reads a duration.
func (d *durationValue) Set(text string) error {
	v, err := job.ParseDuration(text)
	if err != nil {
		return errors.New("want a duration such as 90s, 1h30m or 2d")
	}
	*d.to = v
	return nil
}

// String is empty for no duration, which keeps a default out of the help.
func (d *durationValue) String() string {
	if d.to == nil || *d.to == 0 {
		return ""
	}
	return job.FormatDuration(*d.to)
}

// Type is what the help calls the value.
func (d *durationValue) Type() string { return "duration" }

// Since reads a moment of the past: a time, or a duration that counts back from now.
// flag names it in the error.
func Since(flag, text string) (*client.Timestamp, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return client.Time(at), nil
	}
	d, err := job.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("--%s %q: want a duration such as 5m, or a time such as 2026-01-02T15:04:05Z", flag, text)
	}
	return client.Time(time.Now().Add(-d)), nil
}

// Has is what a worker is told to have: flags of reeve worker as they were given.
type Has struct {
	CPU, Memory string
	// Resources are name=amount, Devices name=id,id.
	Resources, Devices []string
}

// Choice reads what a worker is told to have; what it is not told is zero.
func (h *Has) Choice() (c inventory.Choice, err error) {
	if c.CPU, c.Memory, err = capacity(h.CPU, h.Memory); err != nil {
		return c, err
	}
	c.Amounts, c.Devices = map[string]int64{}, map[string][]string{}
	for _, pair := range h.Resources {
		name, text, err := Pair("resource", pair)
		if err == nil {
			err = resourceName("resource", name)
		}
		if err != nil {
			return c, err
		}
		if _, twice := c.Amounts[name]; twice {
			return c, fmt.Errorf("--resource %s: %s is given twice", pair, name)
		}
		if c.Amounts[name], err = job.ParseAmount(name, text); err != nil {
			return c, fmt.Errorf("--resource %s: %w", pair, err)
		}
	}
	for _, pair := range h.Devices {
		name, text, err := Pair("device", pair)
		if err == nil {
			err = resourceName("device", name)
		}
		if err != nil {
			return c, err
		}
		if _, twice := c.Devices[name]; twice {
			return c, fmt.Errorf("--device %s: %s is given twice; separate ids by commas", pair, name)
		}
		c.Devices[name] = nil
		if text != "" {
			c.Devices[name] = strings.Split(text, ",")
		}
		if err := job.CheckDevices(name, c.Devices[name]); err != nil {
			return c, fmt.Errorf("--device %s: %w", pair, err)
		}
	}
	return c, nil
}

// resourceName refuses a resource that has a flag of its own, or is none.
func resourceName(flag, name string) error {
	if name == "cpu" || name == "memory" {
		return fmt.Errorf("--%s %s: %s has a flag of its own, --%s", flag, name, name, name)
	}
	if err := job.CheckResource(name); err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	return nil
}

// capacity reads --cpu and --memory, 0 for what is not given.
func capacity(cpu, memory string) (milli, size int64, err error) {
	if cpu != "" {
		if milli, err = job.ParseCPU(cpu); err != nil {
			return 0, 0, fmt.Errorf("--cpu: %w", err)
		}
		if milli == 0 {
			return 0, 0, fmt.Errorf("--cpu %s: want more than nothing; reeve drain keeps work away", cpu)
		}
	}
	if memory != "" {
		if size, err = job.ParseSize(memory); err != nil {
			return 0, 0, fmt.Errorf("--memory: %w", err)
		}
		if size == 0 {
			return 0, 0, fmt.Errorf("--memory %s: want more than nothing; reeve drain keeps work away", memory)
		}
	}
	return milli, size, nil
}

// Pair splits what a flag was given, name=value.
func Pair(flag, text string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return "", "", fmt.Errorf("--%s %q: want name=value", flag, text)
	}
	return name, value, nil
}

// Labels reads --label as often as it was given.
func Labels(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		key, value, err := Pair("label", p)
		if err != nil {
			return nil, err
		}
		out[key] = value
	}
	return out, nil
}
