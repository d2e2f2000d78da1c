package cloudblob_test

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/blob/aztest"
	"github.com/reeve-scheduler/reeve/internal/blob/blobtest"
	"github.com/reeve-scheduler/reeve/internal/blob/cloudblob"
	"github.com/reeve-scheduler/reeve/internal/blob/s3test"
)

// TestMain gives all tests the keys, so that they may run side by side.
func TestMain(m *testing.M) {
	for _, pair := range append(s3test.Env(), aztest.Env()...) {
		name, value, _ := strings.Cut(pair, "=")
		os.Setenv(name, value)
	}
	m.Run()
}

// check opens a bucket and looks whether it can be used.
func check(t *testing.T, address string) (*cloudblob.Store, error) {
	t.Helper()
	s, err := cloudblob.Open(address)
	if err != nil {
		return nil, err
	}
	return s, s.Check(t.Context())
}

func open(t *testing.T, address string) *cloudblob.Store {
	t.Helper()
	s, err := check(t, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestContract holds buckets to the contract of blobs, those of Google too, where only the way
// to remove objects is another.
func TestContract(t *testing.T) {
	server := s3test.Start(t)
	var n atomic.Int64
	for _, scheme := range []string{"s3", "gs"} {
		t.Run(scheme, func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) blob.Store {
				t.Helper()
				address := server.Bucket(t, fmt.Sprintf("bucket-%d", n.Add(1)))
				return open(t, scheme+strings.TrimPrefix(address, "s3"))
			})
		})
	}
}

func TestAzureContract(t *testing.T) {
	server := aztest.Start(t)
	var n atomic.Int64
	blobtest.Run(t, func(t *testing.T) blob.Store {
		t.Helper()
		return open(t, server.Container(t, fmt.Sprintf("container-%d", n.Add(1))))
	})
}

// TestAddresses are addresses that can't be, with what the error says.
func TestAddresses(t *testing.T) {
	for _, test := range []struct{ address, says string }{
		{"s3://AKIAHUSH:hush@bucket/prefix", "AWS_ACCESS_KEY_ID"},
		{"s3:///prefix", "begins with its name"},
		{"s3://minio.example:9000/bucket", "?endpoint="},
		{"ftp://bucket/prefix", "s3://bucket/prefix, gs://bucket/prefix or azblob://container/prefix"},
		{"azblob://container?region=hush", `parameter "region" in the address of bucket container: want endpoint or account`},
		{"azblob://container", "put ?account=name after it"},
		{"azblob://container?account=other.example/hush", "an account has 3 to 24"},
		{"azblob://Container--x?account=reeve", "the name of a container"},
		{"azblob://container?account=reeve&endpoint=https://reeve.example/?sig=hush", "want https://host:port"},
		{"s3://bucket/a//b", "a segment is empty"},
		{"s3://bucket/hush%20hush", "is not allowed"},
		{"s3://bucket?secret_key=hush", `parameter "secret_key" in the address of bucket bucket: want endpoint or region`},
		{"s3://bucket?endpoint=minio.example:9000", "want https://host:port"},
		{"s3://bucket?endpoint=https://user:hush@minio.example", "want https://host:port"},
		{"s3://bucket?region=a&region=b", "give it once"},
		{"s3://b/\x7fhush", "can't be read"},
		{"s3://B/prefix", "bucket s3://B/prefix/"},
	} {
		_, err := cloudblob.Open(test.address)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("Open(%q) = %v; want an error that says %s", test.address, err, test.says)
		}
		if err != nil && (strings.Contains(err.Error(), "hush@") || strings.Contains(err.Error(), "=hush") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("Open(%q): the error tells a secret, or is longer than a line: %v", test.address, err)
		}
	}
}
