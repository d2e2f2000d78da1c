package cloudblob

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // it is the sum that the service checks what it got by
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/reeve-scheduler/reeve/internal/blob"
)

// azure is a container of Azure Blob Storage; its blobs are a bucket's objects.
type azure struct {
	client *container.Client
	at     address
	// service is where it is, for errors.
	service string
}

var accountName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

var containerName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){2,62}$`)

// The variables that Azure's own tools know.
const (
	azureAccount    = "AZURE_STORAGE_ACCOUNT"
	azureKey        = "AZURE_STORAGE_KEY"
	azureSAS        = "AZURE_STORAGE_SAS_TOKEN"
	azureConnection = "AZURE_STORAGE_CONNECTION_STRING"
)

// azureKeys says where keys come from.
const azureKeys = azureKey + ", " + azureSAS + " or " + azureConnection

func openAzure(a address) (*azure, error) {
	if !containerName.MatchString(a.bucket) {
		return nil, fmt.Errorf("bucket %s: the name of a container has 3 to 63 lower-case letters, digits and single hyphens", a)
	}
	b := &azure{at: a}
	o := &container.ClientOptions{ClientOptions: policy.ClientOptions{
		Transport: transporter{newTransport()},
		Telemetry: policy.TelemetryOptions{Disabled: true},
		Retry:     policy.RetryOptions{MaxRetries: maxTries - 1, RetryDelay: 50 * time.Millisecond, MaxRetryDelay: time.Second},
	}}
	var err error
	if connection := os.Getenv(azureConnection); connection != "" && a.endpoint == "" && a.account == "" {
		if b.client, err = container.NewClientFromConnectionString(connection, a.bucket, o); err != nil {
			return nil, fmt.Errorf("bucket %s: %s can't be read", a, azureConnection) // the error may quote it
		}
	} else if b.client, err = a.connect(o); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", a, err)
	}
	b.service, _, _ = strings.Cut(b.client.URL(), "?")
	b.service = strings.TrimSuffix(b.service, "/"+a.bucket)
	return b, nil
}

// connect makes a client by the key, the signature or the identity that there is.
func (a address) connect(o *container.ClientOptions) (*container.Client, error) {
	account := cmp.Or(a.account, os.Getenv(azureAccount))
	if account == "" {
		return nil, errors.New("whose is it? put ?account=name after it, or the name into " + azureAccount)
	}
	if !accountName.MatchString(account) {
		return nil, errors.New("an account has 3 to 24 lower-case letters and digits")
	}
	at := "https://" + account + ".blob.core.windows.net"
	if a.endpoint != "" {
		at = map[bool]string{true: "https://", false: "http://"}[a.secure] + a.endpoint
	}
	at += "/" + a.bucket
	if key := os.Getenv(azureKey); key != "" {
		credential, err := azblob.NewSharedKeyCredential(account, key)
		if err != nil {
			return nil, errors.New(azureKey + " is no key: want base64")
		}
		return container.NewClientWithSharedKeyCredential(at, credential, o)
	}
	if signature := os.Getenv(azureSAS); signature != "" {
		return container.NewClientWithNoCredential(at+"?"+strings.TrimPrefix(signature, "?"), o)
	}
	if !a.secure {
		return nil, fmt.Errorf("an identity is shown only over TLS, to an endpoint with https://, and there is none of %s", azureKeys)
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, fmt.Errorf("this machine has no identity, and there is none of %s: %.200s", azureKeys, oneLine(err))
	}
	return container.NewClient(at, credential, o)
}

// transporter sends requests as the library asks for it.
type transporter struct{ *transport }

// Do implements policy.Transporter.
func (t transporter) Do(req *http.Request) (*http.Response, error) { return t.RoundTrip(req) }

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// failed explains an error of the service. What it says beyond its code may show signatures, and is
// left out.
func (b *azure) failed(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	r, answered := errors.AsType[*azcore.ResponseError](err)
	if !answered {
		if _, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok || strings.Contains(err.Error(), "Credential") {
			return fmt.Errorf("bucket %s: this machine has no identity that %s knows, and there is none of %s: %.200s", b.at, b.service, azureKeys, oneLine(err))
		}
		return fmt.Errorf("bucket %s: %w: %s", b.at, ErrUnavailable, oneLine(err))
	}
	switch bloberror.Code(r.ErrorCode) {
	case bloberror.BlobNotFound:
		return blob.ErrNotFound
	case bloberror.ContainerNotFound, bloberror.ContainerBeingDeleted:
		return fmt.Errorf("bucket %s: it does not exist at %s; make the container, or name another one", b.at, b.service)
	case bloberror.InvalidRange:
		return errOffset
	case bloberror.ConditionNotMet:
		return errors.New("it was replaced while it was read; read it again")
	case bloberror.InvalidBlockList:
		return errors.New("another one was put in its place meanwhile; put it again")
	}
	switch {
	case r.StatusCode == http.StatusForbidden || r.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("bucket %s: %s refuses the key (%s): check %s, or the role of this machine's identity: it may have to list, read, write and remove blobs there",
			b.at, b.service, r.ErrorCode, azureKeys)
	case r.StatusCode >= http.StatusInternalServerError || r.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("bucket %s: %w: %s %s", b.at, ErrUnavailable, http.StatusText(r.StatusCode), r.ErrorCode)
	}
	return fmt.Errorf("bucket %s: %s %s", b.at, http.StatusText(r.StatusCode), r.ErrorCode)
}

func md5Of(content []byte) azblob.TransferValidationTypeMD5 {
	s := md5.Sum(content) //nolint:gosec // as above
	return s[:]
}

func (b *azure) put(ctx context.Context, name string, content []byte) error {
	_, err := b.client.NewBlockBlobClient(name).Upload(ctx, streaming.NopCloser(bytes.NewReader(content)),
		&blockblob.UploadOptions{TransactionalValidation: md5Of(content)})
	return b.failed(err)
}

func (b *azure) begin(_ context.Context, name string) (upload, error) {
	return &azureUpload{azure: b, to: b.client.NewBlockBlobClient(name), id: rand.Text()}, nil
}

// azureUpload is blocks that are no blob yet. The service drops them after a week, or when another
// list of blocks becomes that blob.
type azureUpload struct {
	*azure

	to *blockblob.Client
	// id tells its blocks from those of other uploads of the same name.
	id     string
	blocks []string
}

func (u *azureUpload) part(ctx context.Context, content []byte) error {
	block := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s-%05d", u.id, len(u.blocks)))
	_, err := u.to.StageBlock(ctx, block, streaming.NopCloser(bytes.NewReader(content)),
		&blockblob.StageBlockOptions{TransactionalValidation: md5Of(content)})
	if err != nil {
		return u.failed(err)
	}
	u.blocks = append(u.blocks, block)
	return nil
}

func (u *azureUpload) complete(ctx context.Context) error {
	_, err := u.to.CommitBlockList(ctx, u.blocks, nil)
	return u.failed(err)
}

func (u *azureUpload) abort(context.Context) {} // there is no request for that

func (b *azure) get(ctx context.Context, name, etag string, offset, n int64) (piece, error) {
	o := &azblob.DownloadStreamOptions{Range: azblob.HTTPRange{Offset: offset, Count: n}}
	if etag != "" {
		version := azcore.ETag(etag)
		o.AccessConditions = &azblob.AccessConditions{ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfMatch: &version}}
	}
	r, err := b.client.NewBlobClient(name).DownloadStream(ctx, o)
	if err != nil {
		return piece{}, b.failed(err)
	}
	_, total, _ := strings.Cut(deref(r.ContentRange), "/")
	size, err := strconv.ParseInt(total, 10, 64)
	have := deref(r.ContentLength)
	if err != nil || have <= 0 || offset+have > size {
		r.Body.Close()
		if err == nil && have == 0 { // some say so in place of InvalidRange
			return piece{}, errOffset
		}
		return piece{}, fmt.Errorf("bucket %s: the answer says %q and %d bytes where bytes from %d were asked for; does the service know ranges?",
			b.at, deref(r.ContentRange), have, offset)
	}
	return piece{ReadCloser: r.Body, n: have, size: size, etag: string(deref(r.ETag))}, nil
}

func (b *azure) size(ctx context.Context, name string) (int64, error) {
	r, err := b.client.NewBlobClient(name).GetProperties(ctx, nil)
	return deref(r.ContentLength), b.failed(err)
}

// list has no way to begin after a name, and passes over what comes before.
func (b *azure) list(ctx context.Context, prefix, after string, fn func(string, int64) error) error {
	pages := b.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return b.failed(err)
		}
		for _, item := range page.Segment.BlobItems {
			if name := deref(item.Name); name > after {
				if err := fn(name, deref(item.Properties.ContentLength)); err != nil {
					return err
				}
			}
		}
	}
	return ctx.Err()
}

func (b *azure) remove(ctx context.Context, names []string) error {
	return removeEach(names, func(name string) error {
		_, err := b.client.NewBlobClient(name).Delete(ctx, nil)
		return b.failed(err)
	})
}

// deref is what p points to, or zero: the service may leave out what it says elsewhere.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
