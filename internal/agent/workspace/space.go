package workspace

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Store is what a workspace asks of a server. Every method may be called
// concurrently. Errors mean "try again", except those that trying again can't mend:
// whose job.CodeOf is job.Invalid, job.NotFound, job.Refused or job.Denied.
type Store interface {
	// PutArtifact stores one file that an attempt leaves, under a slash-separated
	// relative path. Storing it again replaces it.
	PutArtifact(ctx context.Context, of link.Claim, path string, from io.Reader) error
	// ListArtifacts returns the files of a task or element, in any order.
	ListArtifacts(ctx context.Context, ref job.Ref) ([]Artifact, error)
	// GetArtifact writes one file to a writer.
	GetArtifact(ctx context.Context, ref job.Ref, path string, to io.Writer) error
	// Outputs writes what the elements of a task wrote to REEVE_OUTPUT as JSON
	// lines, by index: {"index":3,"outputs":{"rows":"17"}}; a task that is not an
	// array is one line without index.
	Outputs(ctx context.Context, ref job.Ref, to io.Writer) error
	// FetchBlob writes a blob.
	FetchBlob(ctx context.Context, key string, to io.Writer) error
}

// Artifact is a file that an attempt left.
type Artifact struct {
	// Ref is the element that left it.
	Ref  job.Ref
	Path string
	Size int64
}

// Limits bound what attempts leave and fetch.
type Limits struct {
	// ArtifactFiles and ArtifactBytes bound what one attempt may leave.
	ArtifactFiles int
	ArtifactBytes int64
	// InputFiles and InputBytes bound what one attempt may fetch of one task.
	InputFiles int
	InputBytes int64
}

// Config says whose attempts' directories these are.
type Config struct {
	Worker string
	// Env is what every process's environment begins with: see BaseEnv.
	Env   map[string]string
	Store Store
	// Root returns the absolute directory that holds AttemptsDir, BlobsDir and, where
	// processes run, SparesDir, all made. It is called once something has to be written.
	Root func() (string, error)
	// Own is the name of a file that the agent keeps in each process's directory with
	// mode 0600; it may be there already when a directory has been prepared, with what
	// was in it before.
	Own    string
	Limits Limits
	// Retry bounds the wait between two calls to the store.
	Retry time.Duration
	// Wall is the clock in Unix milliseconds.
	Wall func() int64
	Log  *slog.Logger
}

// The directories below Root.
const (
	AttemptsDir = "attempts"
	BlobsDir    = "blobs"
	SparesDir   = "spares"
)

// Space makes and empties the directories of attempts. Its methods may be called
// concurrently, for one attempt one after the other.
type Space struct {
	cfg    Config
	blobs  blobs
	spares spares
}

// New returns a space; it touches nothing yet.
func New(cfg Config) *Space {
	s := &Space{cfg: cfg}
	s.blobs.space = s
	return s
}

// Function makes the task of an attempt that needs nothing but values. Its directory
// is not made: most functions have no use for one.
func (s *Space) Function(key string, w *link.Assignment) (executor.Task, job.Cause) {
	root, err := s.cfg.Root()
	if err != nil {
		return executor.Task{}, lacking("state directory: %v", err)
	}
	return newBuilder(s.cfg.Worker, s.cfg.Env, w).function(key, root+"/"+AttemptsDir+"/"+key, s.cfg.Wall)
}

// Remove removes an attempt's directory, parts that forbid it included.
func (s *Space) Remove(key string) error {
	root, err := s.cfg.Root()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, AttemptsDir, key)
	if os.RemoveAll(dir) == nil {
		return nil
	}
	err = filepath.WalkDir(dir, func(p string, d os.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(p, 0o700) //nolint:gosec // it is about to be removed
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
