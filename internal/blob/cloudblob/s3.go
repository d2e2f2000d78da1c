package cloudblob

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/reeve-scheduler/reeve/internal/blob"
)

const (
	// maxTries is how often a request is sent, with growing pauses of a second at most.
	maxTries = 5
)

// s3 is a bucket behind Amazon's protocol.
type s3 struct {
	core minio.Core
	at   address
	// one by one: the service removes one object in a request.
	oneByOne bool
}

func openS3(a address) (*s3, error) {
	if err := s3utils.CheckValidBucketNameStrict(a.bucket); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", a, err)
	}
	b := &s3{at: a, oneByOne: a.scheme == "gs"}
	client := &http.Client{Timeout: 2 * time.Second} // of the machine's own metadata
	chain := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: client}}
	host, region := "s3.amazonaws.com", cmp.Or(a.region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	if a.scheme == "gs" {
		// Google's own ways to know a machine have no key that this protocol signs with.
		host, region, chain = "storage.googleapis.com", cmp.Or(a.region, "auto"), chain[:2]
	}
	core, err := minio.NewCore(cmp.Or(a.endpoint, host), &minio.Options{
		Creds: credentials.NewChainCredentials(chain), Secure: a.secure, Region: region, MaxRetries: maxTries, Transport: newTransport(),
	})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", a, err)
	}
	b.core = *core
	return b, nil
}

// failed explains an error of the service. What it says beyond that is in its own words, which hold
// no secrets: a request's signature is not among them.
func (b *s3) failed(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	where, r := b.at.String(), minio.ToErrorResponse(err)
	if r.StatusCode == http.StatusForbidden || slices.Contains([]string{"ExpiredToken", "InvalidToken", "XAdminUserNotFound"}, r.Code) {
		return fmt.Errorf("bucket %s: %s refuses the key (%s): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials, and that the key may list, read, write and remove objects there",
			where, b.core.EndpointURL(), r.Code)
	}
	switch r.Code {
	case minio.NoSuchKey:
		return blob.ErrNotFound
	case minio.NoSuchBucket:
		return fmt.Errorf("bucket %s: it does not exist at %s; make it, or name another one", where, b.core.EndpointURL())
	case "InvalidRange":
		return errOffset
	case minio.PreconditionFailed:
		return errors.New("it was replaced while it was read; read it again")
	case "":
		return fmt.Errorf("bucket %s: %w: %w", where, ErrUnavailable, err)
	}
	if r.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("bucket %s: %w: %s: %.200s", where, ErrUnavailable, r.Code, r.Message)
	}
	return fmt.Errorf("bucket %s: %s: %.200s", where, r.Code, r.Message)
}

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

func (b *s3) put(ctx context.Context, name string, content []byte) error {
	o := minio.PutObjectOptions{DisableContentSha256: true} // in a trailer: the sum stands in the head
	_, err := b.core.PutObject(ctx, b.at.bucket, name, bytes.NewReader(content), int64(len(content)), "", sum(content), o)
	return b.failed(err)
}

func (b *s3) begin(ctx context.Context, name string) (upload, error) {
	id, err := b.core.NewMultipartUpload(ctx, b.at.bucket, name, minio.PutObjectOptions{})
	if err != nil {
		return nil, b.failed(err)
	}
	return &s3Upload{s3: b, name: name, id: id}, nil
}

// s3Upload is an upload that is not complete.
type s3Upload struct {
	*s3

	name, id string
	parts    []minio.CompletePart
}

func (u *s3Upload) part(ctx context.Context, content []byte) error {
	n := len(u.parts) + 1
	p, err := u.core.PutObjectPart(ctx, u.at.bucket, u.name, u.id, n, bytes.NewReader(content), int64(len(content)),
		minio.PutObjectPartOptions{Sha256Hex: sum(content), DisableContentSha256: true})
	if err != nil {
		return u.failed(err)
	}
	u.parts = append(u.parts, minio.CompletePart{PartNumber: n, ETag: p.ETag})
	return nil
}

func (u *s3Upload) complete(ctx context.Context) error {
	_, err := u.core.CompleteMultipartUpload(ctx, u.at.bucket, u.name, u.id, u.parts, minio.PutObjectOptions{})
	return u.failed(err)
}

func (u *s3Upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	_ = u.core.AbortMultipartUpload(ctx, u.at.bucket, u.name, u.id) // else the bucket's own rule removes it
}

func (b *s3) get(ctx context.Context, name, etag string, offset, n int64) (piece, error) {
	var o minio.GetObjectOptions
	if err := o.SetRange(offset, offset+n-1); err != nil {
		return piece{}, errOffset // beyond any object
	}
	if etag != "" {
		if err := o.SetMatchETag(etag); err != nil {
			return piece{}, err
		}
	}
	body, info, header, err := b.core.GetObject(ctx, b.at.bucket, name, o)
	if err != nil {
		return piece{}, b.failed(err)
	}
	_, total, _ := strings.Cut(header.Get("Content-Range"), "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if err != nil || info.Size < 0 || offset+info.Size > size {
		body.Close()
		return piece{}, fmt.Errorf("bucket %s: the answer says %q and %d bytes where bytes from %d were asked for; does the service know ranges?",
			b.at, header.Get("Content-Range"), info.Size, offset)
	}
	return piece{ReadCloser: body, n: info.Size, size: size, etag: info.ETag}, nil
}

func (b *s3) size(ctx context.Context, name string) (int64, error) {
	info, err := b.core.StatObject(ctx, b.at.bucket, name, minio.StatObjectOptions{})
	return info.Size, b.failed(err)
}

func (b *s3) list(ctx context.Context, prefix, after string, fn func(string, int64) error) error {
	owner := false
	o := minio.ListObjectsOptions{Prefix: prefix, Recursive: true, StartAfter: after, FetchOwner: &owner}
	for info := range b.core.ListObjectsIter(ctx, b.at.bucket, o) {
		if info.Err != nil {
			return b.failed(info.Err)
		}
		if err := fn(info.Key, info.Size); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (b *s3) remove(ctx context.Context, names []string) error {
	if b.oneByOne {
		return removeEach(names, func(name string) error {
			return b.failed(b.core.RemoveObject(ctx, b.at.bucket, name, minio.RemoveObjectOptions{}))
		})
	}
	objects := func(yield func(minio.ObjectInfo) bool) {
		for _, name := range names {
			if !yield(minio.ObjectInfo{Key: name}) {
				return
			}
		}
	}
	results, err := b.core.RemoveObjectsWithIter(ctx, b.at.bucket, objects, minio.RemoveObjectsOptions{})
	if err != nil {
		return b.failed(err)
	}
	for r := range results {
		if err := b.failed(r.Err); err != nil && !errors.Is(err, blob.ErrNotFound) {
			return err
		}
	}
	return ctx.Err()
}
