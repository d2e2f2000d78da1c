package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/spf13/cobra"
)

// maxFile bounds a job file on its way in, in bytes.
const maxFile = 8 << 20

// submitFlags are what submit and run share.
type submitFlags struct {
	params []string
	key    string
	hold   bool
	wait   bool
}

func (s *submitFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVarP(&s.params, "param", "p", nil, "a parameter, name=value; may be repeated")
	f.StringVar(&s.key, "key", "", "idempotency key: the same key and job file make one job (default: a random one)")
	f.BoolVar(&s.hold, "hold", false, "hold the job until reeve release")
}

func (e *env) submit() *cobra.Command {
	var s submitFlags
	c := &cobra.Command{
		Use:   "submit FILE…|-",
		Short: "Submit job files",
		Example: `  reeve submit etl.yaml
  reeve submit etl.yaml -p day=2026-01-01 --wait
  generate-job | reeve submit -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return e.submitFiles(c.Context(), args, &s) },
	}
	s.add(c)
	c.Flags().BoolVarP(&s.wait, "wait", "w", false, "wait for the jobs and exit with the highest of their codes")
	return c
}

func (e *env) submitFiles(ctx context.Context, files []string, s *submitFlags) error {
	if s.key != "" && len(files) > 1 {
		return fmt.Errorf("--key %q: one key is for one job file, not for %d", s.key, len(files))
	}
	cl, err := e.connect()
	if err != nil {
		return err
	}
	defer cl.Close()
	var ids []string
	for _, file := range files {
		text, err := e.read(file)
		if err != nil {
			return err
		}
		id, err := e.submitText(ctx, cl, file, text, s)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if !s.wait {
		return nil
	}
	return e.waitFor(ctx, cl, ids)
}

// read reads a job file, or standard input for "-".
func (e *env) read(file string) ([]byte, error) {
	var from = e.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("job file: %w", errors.Unwrap(err))
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("job file %s: %w", file, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("job file %s is larger than %d bytes", file, maxFile)
	}
	return text, nil
}

// submitText checks a job file here, where its errors cost no round trip, submits
// it and prints its id.
func (e *env) submitText(ctx context.Context, cl *client.Client, name string, text []byte, s *submitFlags) (string, error) {
	if name == "-" {
		name = "stdin"
	}
	parsed, err := jobfile.Parse(name, text)
	if err != nil {
		return "", err
	}
	for _, note := range parsed.Notes {
		fmt.Fprintln(e.err, "note:", note)
	}
	item := &client.SubmitItem{IdempotencyKey: s.key}
	if item.IdempotencyKey == "" && parsed.Spec.IdempotencyKey == "" {
		item.IdempotencyKey = randomKey()
	}
	given, err := params(s.params)
	if err != nil {
		return "", err
	}
	if item.Params, err = client.Params(given); err != nil {
		return "", err
	}
	jobs, err := cl.Submit(ctx, &client.SubmitRequest{
		Namespace: e.namespace, Source: client.File(text), FileName: name, Items: []*client.SubmitItem{item}, Hold: s.hold,
	})
	if err != nil {
		return "", err
	}
	return jobs[0].GetId(), e.submitted(jobs[0])
}

func (e *env) submitted(j *client.SubmittedJob) error {
	switch {
	case e.structured():
		return e.message(j)
	case e.quiet:
		fmt.Fprintln(e.out, j.GetId())
	case j.GetExisted():
		fmt.Fprintf(e.out, "job %s exists already\n", j.GetId())
	default:
		fmt.Fprintf(e.out, "submitted job %s\n", j.GetId())
	}
	return nil
}

// randomKey makes repeated sends of one submit one job.
func randomKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

// params reads name=value pairs.
func params(pairs []string) (map[string]any, error) {
	out := make(map[string]any, len(pairs))
	for _, p := range pairs {
		name, value, err := pair("param", p)
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

func (e *env) validate() *cobra.Command {
	var canonical, schema bool
	c := &cobra.Command{
		Use:   "validate FILE…|-",
		Short: "Check job files without submitting them",
		Args: func(c *cobra.Command, args []string) error {
			if schema {
				return cobra.NoArgs(c, args)
			}
			return cobra.MinimumNArgs(1)(c, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if schema {
				_, err := e.out.Write(jobfile.Schema())
				return err
			}
			return e.validateFiles(args, canonical)
		},
	}
	c.Flags().BoolVar(&canonical, "canonical", false, "print the canonical JSON")
	c.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of job files")
	return c
}

func (e *env) validateFiles(files []string, canonical bool) error {
	var errs []error
	for _, file := range files {
		text, err := e.read(file)
		if err != nil {
			return err
		}
		name := file
		if name == "-" {
			name = "stdin"
		}
		parsed, err := jobfile.Parse(name, text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, note := range parsed.Notes {
			fmt.Fprintf(e.err, "%s: note: %s\n", name, note)
		}
		switch {
		case canonical:
			var b bytes.Buffer
			if err := json.Indent(&b, parsed.Canonical, "", "  "); err != nil {
				return err
			}
			fmt.Fprintln(e.out, b.String())
		case !e.quiet:
			fmt.Fprintf(e.out, "%s: ok, %s\n", name, plural(int64(len(parsed.Spec.Tasks)), "task"))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return nil
}
