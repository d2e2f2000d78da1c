package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/items"
	"github.com/reeve-scheduler/reeve/internal/cli/outlook"
	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
)

// maxFile bounds a job file, in bytes.
const maxFile = job.MaxSpec

// submitFlags are what submit and run share.
type submitFlags struct {
	params []string
	key    string
	hold   bool
	wait   bool
	items  itemFlags
}

func (s *submitFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.key, "key", "", "idempotency `key`: the same key and job make one job (default: a random one)")
	f.BoolVar(&s.hold, "hold", false, "hold the job until reeve release")
}

func (s *submitFlags) addParams(c *cobra.Command) {
	c.Flags().StringArrayVarP(&s.params, "param", "p", nil, "a parameter, `name=value`; may be repeated")
}

// throttled refuses a throttle without an array that is given here.
func (s *submitFlags) throttled() error {
	if s.items.throttle > 0 && !s.items.given() {
		return errors.New("--throttle goes with --each-line and --each-json; otherwise it stands in the job file")
	}
	return nil
}

func (s *submitFlags) check(c *cobra.Command) error {
	if c.Flags().Changed("key") && s.key == "" {
		return errors.New("--key: want a key; leave it out for a random one")
	}
	return s.items.check(c)
}

func (e *env) submit() *cobra.Command {
	var s submitFlags
	c := &cobra.Command{
		Use:   "submit FILE…|-",
		Short: "Submit job files",
		Long: `Submit job files, or one from standard input. Nothing of a file that has an error is submitted; of several files those
before it are.

--each-line and --each-json give a task of the job its array: an element for each item, which it finds as ${{ array.item }}
and in REEVE_ITEM. The task is the job's only one, or named before the file: --each-line fetch=urls.txt. Long lists are
stored on the server apart from the job, a million items and more.

Ctrl-C during --wait leaves the jobs as they are.`,
		Example: `  reeve submit etl.yaml
  reeve submit etl.yaml -p day=2026-01-01 --wait
  reeve submit crawl.yaml --each-line fetch=urls.txt --throttle 8
  generate-job | reeve submit -`,
		Args: usage.Count(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := s.check(c); err != nil {
				return err
			}
			return e.submitFiles(c.Context(), args, &s)
		},
	}
	s.add(c)
	s.items.add(c, "a file, `[TASK=]FILE`")
	s.addParams(c)
	c.Flags().BoolVarP(&s.wait, "wait", "w", false, "wait for the jobs and exit with the highest of their codes")
	return c
}

func (e *env) submitFiles(ctx context.Context, files []string, s *submitFlags) error {
	switch {
	case s.key != "" && len(files) > 1:
		return fmt.Errorf("--key %q: one key is for one job file, not for %d", s.key, len(files))
	case s.items.given() && len(files) > 1:
		return fmt.Errorf("--each-line and --each-json are for one job file, not for %d", len(files))
	}
	if err := s.throttled(); err != nil {
		return err
	}
	cl, err := e.connect()
	if err != nil {
		return err
	}
	defer cl.Close()
	var made []*client.SubmittedJob
	var ids []string
	for _, file := range files {
		text, err := e.read(ctx, file)
		if err != nil {
			return err
		}
		one, err := e.submitText(ctx, cl, file, text, s)
		if err != nil {
			return err
		}
		made = append(made, one)
		ids = append(ids, one.GetId())
		if e.Structured() {
			continue
		}
		if err := e.submitted(one); err != nil {
			return err
		}
	}
	switch {
	case s.wait:
		return e.waitFor(ctx, cl, ids)
	case e.Structured():
		return e.submitted(made...)
	}
	return nil
}

// read reads a job file, or standard input for "-".
func (e *env) read(ctx context.Context, file string) ([]byte, error) {
	from := waiting(ctx, e.in)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("job file %s: %w", file, cause(err))
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("job file %s: %w", file, cause(err))
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("job file %s is larger than %s; long lists of items go into a file of their own (--each-line), data into shared storage",
			file, job.FormatSize(maxFile))
	}
	return text, nil
}

// cause is what went wrong, without the operation and the path, which the message
// names already.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// submitText checks a job file here, where its errors cost no round trip, and
// submits it. A file that nobody has seen has no name, and its errors no places.
func (e *env) submitText(ctx context.Context, cl *client.Client, name string, text []byte, s *submitFlags) (*client.SubmittedJob, error) {
	q, keyed, err := e.request(ctx, cl.PutItems, name, text, s)
	if err != nil {
		return nil, err
	}
	if !keyed {
		q.Items[0].IdempotencyKey = randomKey()
	}
	jobs, err := cl.Submit(ctx, q)
	if err != nil && ctx.Err() != nil {
		return nil, leftBehind("it is not known whether the job was submitted (see reeve ls)")
	}
	if err != nil {
		return nil, err
	}
	return jobs[0], nil
}

// request is a job file on its way to the server: as it is, or, where put stores items
// apart, in its canonical form. keyed: flags or file say its idempotency key.
func (e *env) request(ctx context.Context, put items.Put, name string, text []byte, s *submitFlags) (q *client.SubmitRequest, keyed bool, err error) {
	if name == "-" {
		name = "stdin"
	}
	values, err := params(s.params)
	if err != nil {
		return nil, false, err
	}
	given, err := e.givenArray(ctx, put, name, text, &s.items)
	if err != nil {
		return nil, false, err
	}
	parsed, err := jobfile.Read(name, text, given)
	if err != nil {
		return nil, false, err
	}
	for _, note := range parsed.Notes {
		fmt.Fprintln(e.err, "note:", note)
	}
	item := &client.SubmitItem{IdempotencyKey: s.key}
	if item.Params, err = client.Params(values); err != nil {
		return nil, false, err
	}
	q = &client.SubmitRequest{Namespace: e.namespace, Source: client.File(text), FileName: name, Items: []*client.SubmitItem{item}, Hold: s.hold}
	keyed = s.key != "" || parsed.Spec.IdempotencyKey != ""
	stored, err := items.StoreLong(ctx, put, parsed.Spec)
	if err != nil || !stored && given == nil {
		return q, keyed, err
	}
	canonical, _, err := canon.Write(parsed.Spec)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", name, err)
	}
	q.Source, q.FileName = client.File(canonical), "" // its positions would mean nothing
	switch {
	case parsed.Namespace != "" && e.namespace != "" && e.namespace != parsed.Namespace:
		return nil, false, fmt.Errorf("%s says namespace %s, --namespace or REEVE_NAMESPACE %s; leave one out", name, parsed.Namespace, e.namespace)
	case e.namespace == "":
		q.Namespace = parsed.Namespace
	}
	return q, keyed, nil
}

// givenArray is the array that the flags give to a task, nil for none.
func (e *env) givenArray(ctx context.Context, put items.Put, name string, text []byte, f *itemFlags) (*jobfile.Given, error) {
	if !f.given() {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	file := f.source()
	given := &jobfile.Given{}
	if task, rest, ok := strings.Cut(file, "="); ok && job.CheckName(task) == nil {
		given.Task, file = task, rest
	}
	if file == "-" && name == "stdin" {
		return nil, errors.New("job file and items can't both come from standard input")
	}
	// What is wrong with the job file is told before a long list is read.
	if _, err := jobfile.Read(name, text, given); err != nil {
		return nil, err
	}
	var err error
	given.Array, err = e.array(ctx, put, f, file)
	return given, err
}

func (e *env) submitted(made ...*client.SubmittedJob) error {
	if e.Structured() {
		return render.OneOrList(&e.Printer, made)
	}
	for _, j := range made {
		if e.Quiet {
			fmt.Fprintln(e.Out, j.GetId())
		} else {
			fmt.Fprintln(e.Out, submittedText(j))
		}
	}
	return nil
}

func submittedText(j *client.SubmittedJob) string {
	if j.GetExisted() {
		return fmt.Sprintf("job %s exists already", j.GetId())
	}
	return "submitted job " + j.GetId()
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
		name, value, err := usage.Pair("param", p)
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

// asking adds the flags of a submit to a command that only asks, and returns what makes a
// request of a job file.
func (e *env) asking(c *cobra.Command) outlook.Read {
	var s submitFlags
	f := c.Flags()
	f.StringVar(&s.key, "key", "", "idempotency `key` that it would be submitted with")
	f.BoolVar(&s.hold, "hold", false, "as if it were held until reeve release")
	s.items.add(c, "a file, `[TASK=]FILE`")
	s.addParams(c)
	return func(ctx context.Context, file string) (*client.SubmitRequest, error) {
		if err := cmp.Or(s.check(c), s.throttled()); err != nil {
			return nil, err
		}
		text, err := e.read(ctx, file)
		if err != nil {
			return nil, err
		}
		q, _, err := e.request(ctx, items.Weigh, file, text, &s)
		return q, err
	}
}
