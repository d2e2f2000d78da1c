package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/reeve-scheduler/reeve/internal/blob/cloudblob"
	"github.com/reeve-scheduler/reeve/internal/blob/dirblob"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

// blobsDir is where a data directory, or a directory that servers share, has its blobs.
const blobsDir = "blobs"

// segmentsDir is where a directory that servers share has the logs that are not packed yet, in a
// directory of each server that led and has left some.
const segmentsDir = "segments"

const (
	// logsPatience is how long a server that is to lead waits for the logs in a bucket. Jobs do not
	// wait longer for them: they are opened while it leads.
	logsPatience = 2 * time.Second
	// checkWait bounds the look at a bucket when the server starts.
	checkWait = 10 * time.Second
	// maxLogsWait is the longest pause between two tries to open them.
	maxLogsWait = 10 * time.Second
)

func (c *ServerConfig) openBlobs(ctx context.Context) (blobStore, error) {
	switch {
	case cloudblob.IsAddress(c.Blobs):
		b, err := cloudblob.Open(c.Blobs)
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, checkWait)
			defer cancel()
			err = b.Check(ctx)
		}
		if errors.Is(err, cloudblob.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			c.Log.Warn("the bucket can't be reached; logs and artifacts wait for it", "error", err)
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("--blobs: %w", err)
		}
		return b, nil
	case c.Blobs != "":
		return opened(dirblob.OpenShared(filepath.Join(c.Blobs, blobsDir)))
	}
	return opened(dirblob.Open(filepath.Join(c.Dir, blobsDir)))
}

// opened is a store, or none at all where there is an error.
func opened(b *dirblob.Store, err error) (blobStore, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// openLogs opens the logs of a server that is alone. One of several has them while it leads.
func (s *server) openLogs(ctx context.Context) error {
	s.logs.Store(logstore.Closed())
	if s.config.Store != "" {
		return nil
	}
	logs, err := logstore.Open(ctx, filepath.Join(s.config.Dir, logsDir), s.blobs, logstore.Options{Log: s.config.Log})
	if err == nil {
		s.logs.Store(logs)
	}
	return err
}

// led takes over the logs, now that this server leads.
func (s *server) led(ctx context.Context) error {
	term := s.member.Now()
	if cloudblob.IsAddress(s.config.Blobs) {
		return s.ledOnBucket(ctx, term)
	}
	var unique [4]byte
	_, _ = rand.Read(unique[:]) // never fails: crypto/rand ends the program instead
	dir := filepath.Join(s.config.Blobs, segmentsDir, fmt.Sprintf("%016d-%x", term, unique))
	logs, err := logstore.Open(ctx, dir, s.blobs, logstore.Options{Log: s.config.Log, Term: uint64(term)})
	if err != nil {
		return err
	}
	s.logs.Store(logs)
	return nil
}

// ledOnBucket begins to open the logs in a bucket, and waits for that a moment. What this server
// has of them on its own disk is older than what others have left in the bucket.
func (s *server) ledOnBucket(ctx context.Context, term int64) error {
	own := filepath.Join(s.config.Dir, logsDir)
	if err := os.RemoveAll(own); err != nil {
		return fmt.Errorf("remove the logs of an earlier term: %w", err)
	}
	opening, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	s.endLogs = func() {
		cancel()
		<-ended
	}
	go func() {
		defer close(ended)
		s.openStaged(opening, filepath.Join(own, strconv.FormatInt(term, 10)), uint64(term))
	}()
	soon := time.NewTimer(logsPatience)
	defer soon.Stop()
	select {
	case <-ended:
	case <-soon.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// openStaged opens the logs in a bucket, again and again until it succeeds or ctx ends.
func (s *server) openStaged(ctx context.Context, dir string, term uint64) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, maxLogsWait) {
		logs, err := logstore.Open(ctx, dir, s.blobs, logstore.Options{Log: s.config.Log, Term: term, Staged: true})
		if err == nil {
			s.logs.Store(logs)
			return
		}
		if ctx.Err() != nil {
			return
		}
		s.config.Log.Warn("the logs can't be opened; trying again, and workers keep theirs until then", "in", wait, "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// deposed lets go of all that is a leader's.
func (s *server) deposed() {
	s.sessions.CloseAll()
	if s.endLogs != nil {
		s.endLogs()
	}
	if err := s.logs.Swap(logstore.Closed()).Close(); err != nil && !errors.Is(err, context.Canceled) {
		s.config.Log.Warn("the logs could not be closed in good order", "error", err)
	}
}
