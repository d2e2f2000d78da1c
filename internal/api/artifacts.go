package api

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/api/intake"
	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// artifacts answers ArtifactService. Artifacts are blobs under
// artifacts/<job>/<job uid>/<task>/<index or ->/<attempt>/<path in base32>, so that
// no name that a job chooses becomes a part of a path.
type artifacts struct{ *server }

const (
	// chunkBytes is how much of a file one message carries.
	chunkBytes = 256 << 10
	// maxArtifactPath bounds a path in bytes.
	maxArtifactPath = 200
	// maxListed bounds a list of artifacts.
	maxListed = 100_000
)

var pathCode = base32.HexEncoding.WithPadding(base32.NoPadding)

// checkPath refuses what is not a clean relative path.
func checkPath(p string) error {
	if p == "" || len(p) > maxArtifactPath || path.Clean(p) != p || path.IsAbs(p) || p == "." || p == ".." || strings.HasPrefix(p, "../") || strings.ContainsRune(p, 0) {
		return invalid("artifact path %.60q: want a relative path of at most %d bytes without . and ..", p, maxArtifactPath)
	}
	return nil
}

// ArtifactPrefix is what the keys of all of a job's artifacts begin with.
func ArtifactPrefix(id job.ID) string { return "artifacts/" + id.String() + "/" }

func artifactKey(uid string, ref job.Ref, attempt int) string {
	index := "-"
	if ref.Index != job.NoIndex {
		index = strconv.FormatInt(ref.Index, 10)
	}
	return ArtifactPrefix(ref.Job) + uid + "/" + ref.Task + "/" + index + "/" + strconv.Itoa(attempt) + "/"
}

// Put stores one file that a live attempt leaves.
func (s *artifacts) Put(ctx context.Context, stream *connect.ClientStream[reevev1.ArtifactPutRequest]) (*connect.Response[reevev1.ArtifactPutResponse], error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, err
	}
	if !stream.Receive() {
		return nil, invalid("an artifact without a first message: %v", stream.Err())
	}
	m := stream.Msg()
	ref, err := job.ParseRef(m.GetRef())
	if err != nil || ref.Attempt == 0 {
		return nil, invalid("artifact of %q: want an attempt", m.GetRef())
	}
	if err := checkPath(m.GetPath()); err != nil {
		return nil, err
	}
	from := sender{m.GetFence(), ref}
	a, live, err := s.current(ctx, from)
	if err != nil {
		return nil, err
	}
	if !live {
		return nil, &job.Error{Code: job.Refused, Message: "attempt " + m.GetRef() + " with fence " + fenceText(m.GetFence()) + " is not current; nothing of it is kept"}
	}
	if !auth.NewProver(s.ProofKey).Proves(from.assigned(a.Task, a.Position), m.GetProof()) {
		return nil, &job.Error{Code: job.Denied, Message: "attempt " + m.GetRef() + " was not given to whoever sends this: the proof that came with it is missing or wrong; nothing of it is kept"}
	}
	key := artifactKey(a.UID.String(), ref, ref.Attempt) + pathCode.EncodeToString([]byte(m.GetPath()))
	size, err := s.Blobs.Put(ctx, key, &messageReader{data: m.GetData(), last: m.GetLast(), next: func() ([]byte, bool, error) {
		if stream.Receive() {
			return stream.Msg().GetData(), stream.Msg().GetLast(), nil
		}
		return nil, false, cmp.Or(stream.Err(), io.EOF)
	}})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.ArtifactPutResponse{Size: size}), nil
}

// messageReader reads the data of a stream's messages, to the one that is marked as
// the last.
type messageReader struct {
	data []byte
	last bool
	// next returns a message's data and mark; io.EOF at the end of the stream.
	next func() (data []byte, last bool, err error)
}

// Read fills b.
func (r *messageReader) Read(b []byte) (int, error) {
	for len(r.data) == 0 {
		if r.last {
			return 0, io.EOF
		}
		var err error
		r.data, r.last, err = r.next()
		if errors.Is(err, io.EOF) {
			return 0, invalid("the stream ended before the message that is marked last; nothing of it is kept: send it again")
		}
		if err != nil {
			return 0, err
		}
	}
	n := copy(b, r.data)
	r.data = r.data[n:]
	return n, nil
}

// artifact is one stored file of an element's newest attempt that left any.
type artifact struct {
	ref  job.Ref
	path string
	key  string
	size int64
}

// list returns the files below ref: of each element from the job in which it ran.
func (s *artifacts) list(ctx context.Context, ref job.Ref) ([]artifact, error) {
	f, err := s.find(ctx, ref.Job)
	if err != nil {
		return nil, err
	}
	if ref.Task != "" {
		if _, err := f.task(ref.Task); err != nil {
			return nil, err
		}
	}
	var out []artifact
	var newer []*carriedElements // of the jobs before f in the chain of retries
	for range maxHops {
		ref.Job = f.image.ID
		files, err := s.listJob(ctx, f.image.UID.String(), ref)
		if err != nil {
			return nil, err
		}
		for _, a := range files {
			wanted, err := carriedOver(ctx, newer, a.ref)
			if err != nil {
				return nil, err
			}
			if wanted {
				out = append(out, a)
			}
		}
		newer = append(newer, &carriedElements{s: s.server, f: f})
		if f, err = s.retried(ctx, f); f == nil {
			return out, err
		}
	}
	return out, nil
}

// listJob lists the files of one job's elements, of each its last attempt's.
func (s *artifacts) listJob(ctx context.Context, uid string, ref job.Ref) ([]artifact, error) {
	prefix := ArtifactPrefix(ref.Job) + uid + "/"
	if ref.Task != "" {
		prefix += ref.Task + "/"
		if ref.Index != job.NoIndex {
			prefix += strconv.FormatInt(ref.Index, 10) + "/"
		}
	}
	last := map[job.Ref]int{}
	var all []artifact
	var attempts []int
	err := s.Blobs.List(ctx, prefix, func(info blob.Info) error {
		parts := strings.Split(info.Key, "/")
		if len(parts) != 7 || len(all) >= maxListed {
			return nil
		}
		name, err := pathCode.DecodeString(parts[6])
		if err != nil {
			return nil //nolint:nilerr // not an artifact's key
		}
		a := artifact{ref: job.Ref{Job: ref.Job, Task: parts[3], Index: job.NoIndex}, path: string(name), key: info.Key, size: info.Size}
		if parts[4] != "-" {
			if a.ref.Index, err = strconv.ParseInt(parts[4], 10, 64); err != nil {
				return nil //nolint:nilerr // not an artifact's key
			}
		}
		attempt, err := strconv.Atoi(parts[5])
		if err != nil {
			return nil //nolint:nilerr // not an artifact's key
		}
		last[a.ref] = max(last[a.ref], attempt)
		all, attempts = append(all, a), append(attempts, attempt)
		return nil
	})
	out := all[:0]
	for i, a := range all {
		if attempts[i] == last[a.ref] {
			out = append(out, a)
		}
	}
	return out, err
}

// List returns the files of a job, task or element.
func (s *artifacts) List(ctx context.Context, req *connect.Request[reevev1.ArtifactListRequest]) (*connect.Response[reevev1.ArtifactListResponse], error) {
	ref, err := job.ParseRef(req.Msg.GetRef())
	if err != nil {
		return nil, invalid("%s", err)
	}
	files, err := s.list(ctx, ref)
	if err != nil {
		return nil, err
	}
	out := &reevev1.ArtifactListResponse{}
	for _, a := range files {
		out.Artifacts = append(out.Artifacts, &reevev1.Artifact{Ref: a.ref.String(), Path: a.path, Size: a.size})
	}
	return connect.NewResponse(out), nil
}

// Get streams one file.
func (s *artifacts) Get(ctx context.Context, req *connect.Request[reevev1.ArtifactGetRequest], stream *connect.ServerStream[reevev1.ArtifactGetResponse]) error {
	ref, err := job.ParseRef(req.Msg.GetRef())
	if err != nil {
		return invalid("%s", err)
	}
	if err := checkPath(req.Msg.GetPath()); err != nil {
		return err
	}
	files, err := s.list(ctx, ref)
	if err != nil {
		return err
	}
	for _, a := range files {
		if a.path == req.Msg.GetPath() {
			return s.send(ctx, a.key, func(b []byte) error { return stream.Send(&reevev1.ArtifactGetResponse{Data: b}) })
		}
	}
	return notFound("%s left no artifact %q", ref, req.Msg.GetPath())
}

func (s *artifacts) send(ctx context.Context, key string, send func([]byte) error) error {
	r, _, err := s.Blobs.Get(ctx, key, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, chunkBytes)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := send(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// PutItems stores the items of a large array, and checks each line. The key that it
// answers ends in a digest of them, by which equal lists are known as such.
func (s *artifacts) PutItems(ctx context.Context, stream *connect.ClientStream[reevev1.PutItemsRequest]) (*connect.Response[reevev1.PutItemsResponse], error) {
	var id [itemsID]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	key := itemsPrefix + hex.EncodeToString(id[:])
	counted := make(chan itemCount, 1)
	pr, pw := io.Pipe()
	digest := sha256.New()
	go func() { counted <- countItems(pr) }()
	_, err := s.Blobs.Put(ctx, key, io.TeeReader(&messageReader{next: func() ([]byte, bool, error) {
		if stream.Receive() {
			return stream.Msg().GetData(), stream.Msg().GetLast(), nil
		}
		return nil, false, cmp.Or(stream.Err(), io.EOF)
	}}, io.MultiWriter(pw, digest)))
	pw.CloseWithError(io.EOF)
	count := <-counted
	if err == nil {
		err = count.err
	}
	if err != nil {
		return nil, errors.Join(err, s.Blobs.Delete(context.WithoutCancel(ctx), key))
	}
	return connect.NewResponse(&reevev1.PutItemsResponse{Blob: key + intake.DigestMark + hex.EncodeToString(digest.Sum(nil)[:16]), Count: count.n}), nil
}

type itemCount struct {
	n   int64
	err error
}

const (
	// maxItem bounds one item in bytes.
	maxItem = 64 << 10
	// maxItems bounds the items of one array together, in bytes: they are stored
	// before anybody has a job for them.
	maxItems = 1 << 30
	// itemsPrefix begins the keys of items; a random id of so many bytes follows.
	itemsPrefix = "items/"
	itemsID     = 16
)

// countItems reads JSON strings, one a line, to the end.
func countItems(r *io.PipeReader) itemCount {
	var c itemCount
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), maxItem)
	for size := 0; c.err == nil && lines.Scan(); {
		if size += len(lines.Bytes()) + 1; size > maxItems {
			c.err = invalid("the items have more than %d bytes together; put large values into files", maxItems)
			break
		}
		var item string
		if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
			c.err = invalid("item %d: %.60q: want a JSON string on each line", c.n, lines.Text())
		}
		if c.n++; c.n > job.MaxElements {
			c.err = invalid("more than %d items", job.MaxElements)
		}
	}
	if c.err == nil && lines.Err() != nil {
		c.err = invalid("item %d is longer than %d bytes", c.n, maxItem)
	}
	if c.err == nil && c.n == 0 {
		c.err = invalid("there are no items")
	}
	r.CloseWithError(c.err)
	return c
}

// GetItems streams what PutItems stored.
func (s *artifacts) GetItems(ctx context.Context, req *connect.Request[reevev1.GetItemsRequest], stream *connect.ServerStream[reevev1.GetItemsResponse]) error {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return err
	}
	key := req.Msg.GetBlob()
	stored, _, _ := strings.Cut(key, intake.DigestMark)
	id, ok := strings.CutPrefix(stored, itemsPrefix)
	if _, err := hex.DecodeString(id); !ok || err != nil || len(id) != 2*itemsID {
		return invalid("blob %.60q: want one that PutItems gave", key)
	}
	err := s.send(ctx, stored, func(b []byte) error { return stream.Send(&reevev1.GetItemsResponse{Data: b}) })
	if errors.Is(err, blob.ErrNotFound) {
		return notFound("blob %q does not exist", key)
	}
	return err
}
