package cloudblob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/blob/cloudblob"
	"github.com/reeve-scheduler/reeve/internal/blob/s3test"
)

// front stands before an S3 server and spoils what the test tells it to.
type front struct {
	*s3test.Server

	http *httptest.Server

	mu sync.Mutex
	// spoil answers a request itself, or returns false to let it through.
	spoil func(http.ResponseWriter, *http.Request) bool
	seen  []string
}

func startFront(t *testing.T) *front {
	t.Helper()
	f := &front{Server: s3test.Start(t)}
	behind, err := url.Parse(f.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.Out.Host = r.In.Host // it is part of what is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	f.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		spoil := f.spoil
		f.seen = append(f.seen, r.Method+" "+r.URL.Path)
		f.mu.Unlock()
		if spoil == nil || !spoil(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.http.Close)
	return f
}

func (f *front) set(spoil func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spoil, f.seen = spoil, nil
}

// requests counts those that have come since set.
func (f *front) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

// open makes a bucket and opens it through the front.
func (f *front) open(t *testing.T) *cloudblob.Store {
	t.Helper()
	return open(t, f.through(f.Bucket(t, "bucket")))
}

func (f *front) through(address string) string {
	return strings.Replace(address, url.QueryEscape(f.Endpoint()), url.QueryEscape(f.http.URL), 1)
}

func slowDown(w http.ResponseWriter) {
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
}

func put(t *testing.T, s blob.Store, key, content string) {
	t.Helper()
	if _, err := s.Put(t.Context(), key, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s blob.Store, key string) string {
	t.Helper()
	r, _, err := s.Get(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// long is a content of several parts, none like another.
func long() string {
	var b strings.Builder
	for i := 0; b.Len() < 9<<20; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

// TestBusyService: a service that asks for patience gets it, within bounds.
func TestBusyService(t *testing.T) {
	t.Parallel()
	f := startFront(t)
	s := f.open(t)
	var mu sync.Mutex
	refused := map[string]bool{}
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if request := r.Method + r.URL.String(); !refused[request] { // each once
			refused[request] = true
			slowDown(w)
			return true
		}
		return false
	})
	content := long()
	put(t, s, "small", "x")
	put(t, s, "large", content)
	if get(t, s, "small") != "x" || get(t, s, "large") != content {
		t.Error("other bytes came back")
	}
	if err := s.Delete(t.Context(), "small", "large"); err != nil {
		t.Error(err)
	}

	f.set(func(w http.ResponseWriter, _ *http.Request) bool { slowDown(w); return true })
	_, err := s.Put(t.Context(), "small", strings.NewReader("x"))
	if !errors.Is(err, cloudblob.ErrUnavailable) || !strings.Contains(err.Error(), "SlowDown") || !strings.Contains(err.Error(), "s3://bucket/") {
		t.Errorf("Put = %v; want the service's word and the bucket", err)
	}
	if n := f.requests(); n > 5 {
		t.Errorf("it was asked %d times", n)
	}
}

// TestServerGone: a server that goes away in the middle of a put leaves nothing, and one that
// comes back is used again.
func TestServerGone(t *testing.T) {
	t.Parallel()
	f := startFront(t)
	s := f.open(t)
	put(t, s, "k", "before")
	content := long()
	src := io.MultiReader(strings.NewReader(content[:len(content)/2]), onRead(f.Stop), strings.NewReader(content[len(content)/2:]))
	if _, err := s.Put(t.Context(), "k", src); !errors.Is(err, cloudblob.ErrUnavailable) {
		t.Errorf("a put without a server ends with %v", err)
	}
	f.Again(t)
	if got := get(t, s, "k"); got != "before" {
		t.Errorf("k has %d bytes; want what was there before", len(got))
	}
	put(t, s, "k", content)
	if get(t, s, "k") != content {
		t.Error("other bytes came back")
	}
}

type onRead func()

func (f onRead) Read([]byte) (int, error) { f(); return 0, io.EOF }

// TestBrokenReads: a reader goes on where its connection broke, and never into another version.
func TestBrokenReads(t *testing.T) {
	t.Parallel()
	f := startFront(t)
	s := f.open(t)
	content := long()
	put(t, s, "k", content)
	var mu sync.Mutex
	n := 0
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%2 == 0 {
			return false
		}
		cut(w, r, f.Endpoint())
		return true
	})
	if get(t, s, "k") != content {
		t.Error("other bytes came back over broken connections")
	}
	f.set(nil)
	r, _, err := s.Get(t.Context(), "k", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put(t, s, "k", strings.Repeat("y", len(content)))
	if b, err := io.ReadAll(r); err == nil || !strings.HasPrefix(content, string(b)) {
		t.Errorf("a reader of what was replaced saw %d bytes, %v; want a part of the old, and an error", len(b), err)
	}
}

// cut answers with the beginning of what the server does, and breaks the connection.
func cut(w http.ResponseWriter, r *http.Request, endpoint string) {
	req := r.Clone(r.Context())
	req.RequestURI = ""
	req.URL.Scheme, req.URL.Host = "http", strings.TrimPrefix(endpoint, "http://")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	io.CopyN(w, resp.Body, 700_000)
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// TestRefusals: what an operator has to mend is said in one line that names the bucket.
func TestRefusals(t *testing.T) {
	server := s3test.Start(t)
	address := server.Bucket(t, "bucket")
	for _, test := range []struct{ name, key, secret, address, says string }{
		{"another secret", s3test.AccessKey, "hush-hush-hush", address, "AWS_ACCESS_KEY_ID"},
		{"another key", "stranger", "hush-hush-hush", address, "AWS_ACCESS_KEY_ID"},
		{"no such bucket", s3test.AccessKey, s3test.SecretKey, server.Address("elsewhere"), "it does not exist"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", test.key)
			t.Setenv("AWS_SECRET_ACCESS_KEY", test.secret)
			_, err := check(t, test.address)
			if err == nil || errors.Is(err, cloudblob.ErrUnavailable) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "bucket s3://") {
				t.Fatalf("Open = %v; want an error with the bucket, and %s", err, test.says)
			}
			if strings.Contains(err.Error(), test.secret) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error tells a secret, or is longer than a line: %v", err)
			}
		})
	}
}

// TestNobodyThere: a put to nobody ends with its context.
func TestNobodyThere(t *testing.T) {
	f := startFront(t)
	s := f.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.set(func(_ http.ResponseWriter, r *http.Request) bool {
		io.Copy(io.Discard, r.Body) // so that the server sees the connection end
		cancel()
		<-r.Context().Done()
		return true
	})
	if _, err := s.Put(ctx, "k", strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v; want that it was cancelled", err)
	}
}

// TestDeleteOfManyPrefixes, of which few have anything, takes few requests.
func TestDeleteOfManyPrefixes(t *testing.T) {
	f := startFront(t)
	s := f.open(t)
	var prefixes []string
	for i := range 3000 {
		prefixes = append(prefixes, fmt.Sprintf("artifacts/%d/", 1000+i))
	}
	want := []string{"artifacts/100/x", "artifacts/2000", "artifacts/999/x", "b"}
	for _, key := range append(want, "artifacts/1000/a", "artifacts/2000/b/c", "artifacts/2000/d", "artifacts/3999/e") {
		put(t, s, key, "")
	}
	f.set(nil)
	if err := s.Delete(t.Context(), prefixes...); err != nil {
		t.Fatal(err)
	}
	if n := f.requests(); n > 4 {
		t.Errorf("%d requests", n)
	}
	var left []string
	if err := s.List(t.Context(), "", func(i blob.Info) error { left = append(left, i.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Error(diff)
	}
}

// TestForeignObjects: what is not a blob is neither listed nor removed.
func TestForeignObjects(t *testing.T) {
	server := s3test.Start(t)
	all := open(t, server.Bucket(t, "bucket"))
	put(t, all, "d/a", "")
	server.Write(t, "bucket/some/where/d/foreign", []byte("x"))
	server.Write(t, "bucket/some/where/d/b c!", []byte("x"))
	var keys bytes.Buffer
	if err := all.List(t.Context(), "", func(i blob.Info) error { keys.WriteString(i.Key + " "); return nil }); err != nil {
		t.Fatal(err)
	}
	if keys.String() != "d/a " {
		t.Errorf("listed: %s", keys.String())
	}
	if err := all.Delete(t.Context(), "d/"); err != nil {
		t.Fatal(err)
	}
	if got := server.Read(t, "bucket/some/where/d/foreign"); string(got) != "x" {
		t.Errorf("an object of somebody else has become %q", got)
	}
}
