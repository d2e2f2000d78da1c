// Command checksums hashes every file of a directory, each as one element of an array
// task, and merges the hashes into one list, which it prints.
//
//	go run ./examples/go/checksums DIR
//
// It talks to the server that REEVE_ADDR names and is its own worker. Start it a second
// time with -work, on this machine or on one that sees the same files, and the two share
// the work. Kill one of them in the middle: the list is the same.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve"
)

func main() {
	work := flag.Bool("work", false, "work for others, until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *work, flag.Arg(0), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "checksums:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func run(ctx context.Context, work bool, dir string, out io.Writer) error {
	client, err := reeve.New(reeve.FromEnv())
	if err != nil {
		return err
	}
	defer client.Close()
	worker := newWorker(client)
	if work {
		return worker.Run(ctx)
	}
	if dir == "" {
		return errors.New("which directory? usage: checksums DIR")
	}
	working, stop := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- worker.Run(working) }()
	err = list(ctx, client, dir, out)
	stop()
	return errors.Join(err, <-over)
}

// newWorker handles the two functions of the job.
func newWorker(client *reeve.Client) *reeve.Worker {
	w := reeve.NewWorker(client, reeve.WorkerConfig{})
	reeve.Handle(w, "checksums-hash", func(_ context.Context, _ *reeve.Attempt, path string) (string, error) {
		return hash(path)
	})
	w.Handle("checksums-merge", func(ctx context.Context, a *reeve.Attempt) error {
		return merge(ctx, client, a)
	})
	return w
}

// hash is what one element does: the sum of one file. A file that is gone will not come
// back, however often it is tried.
func hash(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", reeve.Permanent(err)
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)) + "  " + path, nil
}

// merge collects what the elements returned, in their order, and keeps it as a file.
func merge(ctx context.Context, client *reeve.Client, a *reeve.Attempt) error {
	var all strings.Builder
	n := 0
	for o, err := range client.Outputs(ctx, a.Job, "hash") {
		if err != nil {
			return err
		}
		var line string
		if err := o.Result(&line); err != nil {
			return err
		}
		all.WriteString(line + "\n")
		n++
	}
	a.Logger().Info("merged", "files", n)
	return a.SaveArtifact(ctx, "SHA256SUMS", strings.NewReader(all.String()))
}

// list submits the job, waits for it, and prints the list that it left.
func list(ctx context.Context, client *reeve.Client, dir string, out io.Writer) error {
	files, err := filesOf(dir)
	if err != nil {
		return err
	}
	id, err := client.Submit(ctx, reeve.Job{
		Name: "checksums",
		Tasks: []reeve.Task{
			{
				Name: "hash", Function: "checksums-hash", Array: &reeve.Array{Items: files},
				Timeout: time.Hour, Retry: reeve.Retry{MaxAttempts: 3},
			},
			{Name: "merge", Function: "checksums-merge", Needs: reeve.Needs("hash")},
		},
	})
	if err != nil {
		return err
	}
	if _, err := client.Wait(ctx, id); err != nil {
		return err
	}
	return client.ReadArtifact(ctx, id+".merge", "SHA256SUMS", out)
}

// filesOf lists the regular files below a directory, by absolute path.
func filesOf(dir string) ([]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s has no files", dir)
	}
	return files, err
}
