package cloudblob

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/blob"
)

// address is where a bucket is.
type address struct {
	scheme, bucket string
	// prefix of all names: empty, or ending in a slash.
	prefix string
	// endpoint is host:port of the service, secure whether it speaks TLS.
	endpoint string
	secure   bool
	region   string
	// account is whose container it is, of Azure.
	account string
}

func (a address) String() string { return a.scheme + "://" + a.bucket + "/" + a.prefix }

// azureScheme is that of a container of Azure.
const azureScheme = "azblob"

// example is an address as it should be.
const example = "s3://bucket/prefix?region=eu-west-1"

// parse reads an address. Its errors show nothing of what may be a secret.
func parse(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return address{}, errors.New("the address of a bucket can't be read: want one such as " + example)
	}
	a := address{scheme: u.Scheme, bucket: u.Host, secure: true}
	switch {
	case u.User != nil:
		return a, errors.New("the address of a bucket has no keys in it, since others can read a command line: put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the file ~/.aws/credentials; of Azure into " + azureKeys)
	case u.Scheme != "s3" && u.Scheme != "gs" && u.Scheme != azureScheme:
		return a, fmt.Errorf("%.20s://: want a directory, s3://bucket/prefix, gs://bucket/prefix or azblob://container/prefix", u.Scheme)
	case u.Host == "" || u.Port() != "" || u.Fragment != "":
		return a, fmt.Errorf("the address of a bucket begins with its name, as in %s; the server goes into ?endpoint=https://host:port", example)
	}
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		if err := blob.CheckKey(prefix); err != nil {
			return a, fmt.Errorf("the prefix in bucket %s: %w", a.bucket, err)
		}
		a.prefix = prefix + "/"
	}
	return a, a.parameters(u.Query())
}

func (a *address) parameters(query url.Values) error {
	for name, values := range query {
		switch {
		case len(values) != 1:
			return fmt.Errorf("parameter %.40q in the address of bucket %s: give it once", name, a.bucket)
		case name == "region" && a.scheme != azureScheme:
			a.region = values[0]
		case name == "account" && a.scheme == azureScheme:
			a.account = values[0]
		case name == "endpoint":
			u, err := url.Parse(values[0])
			if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" && a.scheme != azureScheme || u.Scheme != "http" && u.Scheme != "https" {
				return fmt.Errorf("endpoint in the address of bucket %s: want https://host:port, or http:// for one without TLS", a.bucket)
			}
			a.endpoint, a.secure = u.Host+strings.TrimSuffix(u.Path, "/"), u.Scheme == "https"
		default:
			other := "region"
			if a.scheme == azureScheme {
				other = "account"
			}
			return fmt.Errorf("parameter %.40q in the address of bucket %s: want endpoint or %s", name, a.bucket, other)
		}
	}
	return nil
}
