package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
)

func (e *env) validate() *cobra.Command {
	var canonical, schema bool
	c := &cobra.Command{
		Use:   "validate FILE…|-",
		Short: "Check job files without submitting them",
		Long: `Check job files without submitting them; no server is needed. Each error is a line of file, line, column, the value and
what is allowed. The exit code is 0 if every file is right.`,
		Example: `  reeve validate *.yaml
  reeve validate --schema > job.schema.json    for editors`,
		Args: func(c *cobra.Command, args []string) error {
			if schema {
				return usage.Count(0, 0)(c, args)
			}
			return usage.Count(1, -1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := usage.OnlyOne(c, "canonical", "schema"); err != nil {
				return err
			}
			if schema {
				_, err := e.Out.Write(jobfile.Schema())
				return err
			}
			return e.validateFiles(c.Context(), args, canonical)
		},
	}
	c.Flags().BoolVar(&canonical, "canonical", false, "print the canonical JSON")
	c.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of job files")
	return c
}

// checked is what validate says of a file.
type checked struct {
	File   string        `json:"file"`
	OK     bool          `json:"ok"`
	Tasks  int           `json:"tasks,omitempty"`
	Notes  []string      `json:"notes,omitempty"`
	Errors []checkedFail `json:"errors,omitempty"`
}

type checkedFail struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path,omitempty"`
	Value   string `json:"value,omitempty"`
	Message string `json:"message"`
}

func (e *env) validateFiles(ctx context.Context, files []string, canonical bool) error {
	all := make([]checked, 0, len(files))
	wrong := false
	for _, file := range files {
		c := checked{File: file}
		if file == "-" {
			c.File = "stdin"
		}
		text, err := e.read(ctx, file)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			c.Errors = failures(err)
			e.failed(err)
		default:
			if err := e.validateText(&c, text, canonical); err != nil {
				return err
			}
		}
		wrong = wrong || !c.OK
		all = append(all, c)
	}
	if e.Structured() && !canonical {
		if err := e.Values(all); err != nil {
			return err
		}
	}
	if wrong {
		return exitCode(e.failure)
	}
	return nil
}

// validateText says what is wrong with a file's text, or that it is right.
func (e *env) validateText(c *checked, text []byte, canonical bool) error {
	parsed, err := jobfile.Parse(c.File, text)
	if err != nil {
		c.Errors = failures(err)
		if !e.Structured() {
			fmt.Fprintln(e.err, err) // as compilers do, so that editors find the place
		}
		return nil
	}
	c.OK, c.Tasks, c.Notes = true, len(parsed.Spec.Tasks), parsed.Notes
	return e.validated(c, parsed, canonical)
}

// validated says that a file is right.
func (e *env) validated(c *checked, parsed *jobfile.Result, canonical bool) error {
	if canonical {
		if e.Format == "yaml" {
			return e.Raw(parsed.Canonical)
		}
		var b bytes.Buffer
		if err := json.Indent(&b, parsed.Canonical, "", "  "); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.Out, b.String())
		return err
	}
	if e.Structured() {
		return nil
	}
	for _, note := range c.Notes {
		fmt.Fprintf(e.err, "%s: note: %s\n", c.File, note)
	}
	if e.Quiet {
		return nil
	}
	_, err := fmt.Fprintf(e.Out, "%s: ok, %s\n", c.File, render.Plural(int64(c.Tasks), "task"))
	return err
}

func failures(err error) []checkedFail {
	errs, ok := errors.AsType[jobfile.Errors](err)
	if !ok {
		return []checkedFail{{Message: err.Error()}}
	}
	out := make([]checkedFail, 0, len(errs))
	for _, one := range errs {
		out = append(out, checkedFail{one.Line, one.Column, one.Path, one.Value, one.Message})
	}
	return out
}
