package cloudblob_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/blob/aztest"
	"github.com/reeve-scheduler/reeve/internal/blob/cloudblob"
)

// TestAzureRefusals are what the service says no to, in words that an operator can use.
func TestAzureRefusals(t *testing.T) {
	server := aztest.Start(t)
	there := server.Container(t, "there")
	if _, err := check(t, there); err != nil {
		t.Error(err)
	}
	if _, err := check(t, server.Address("nowhere")); err == nil || !strings.Contains(err.Error(), "bucket azblob://nowhere/some/where/: it does not exist at "+server.Endpoint()) {
		t.Errorf("a container that is not there: %v", err)
	}
	t.Setenv("AZURE_STORAGE_KEY", "aHVzaC1odXNo")
	if _, err := check(t, there); err == nil || !strings.Contains(err.Error(), "refuses the key") || strings.Contains(err.Error(), "aHVzaC1odXNo") {
		t.Errorf("another key: %v", err)
	}
	t.Setenv("AZURE_STORAGE_KEY", "no base64: hush")
	if _, err := cloudblob.Open(there); err == nil || !strings.Contains(err.Error(), "AZURE_STORAGE_KEY is no key") || strings.Contains(err.Error(), "hush") {
		t.Errorf("a key that is none: %v", err)
	}
	t.Setenv("AZURE_STORAGE_KEY", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=2024-11-04&sig=hush")
	if _, err := check(t, there); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("a signature that is none: %v", err)
	}
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "")
	if _, err := cloudblob.Open(there); err == nil || !strings.Contains(err.Error(), "only over TLS") {
		t.Errorf("an identity without TLS: %v", err)
	}
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=hush;AccountKey")
	if _, err := cloudblob.Open("azblob://there"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("a connection string that is none: %v", err)
	}
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "DefaultEndpointsProtocol=http;AccountName="+aztest.Account+";AccountKey="+aztest.Key+";BlobEndpoint="+server.Endpoint())
	if _, err := check(t, "azblob://there/some/where"); err != nil {
		t.Errorf("by a connection string: %v", err)
	}
}

// TestAzureIsAway: a service that is busy, or is not there, is asked a few times.
func TestAzureIsAway(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.Header().Set("X-Ms-Error-Code", "ServerBusy")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	s, err := cloudblob.Open("azblob://there?account=" + aztest.Account + "&endpoint=" + url.QueryEscape(front.URL))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "k", strings.NewReader("x")); !errors.Is(err, cloudblob.ErrUnavailable) || !strings.Contains(err.Error(), "ServerBusy") || n.Load() != 5 {
		t.Errorf("after %d requests: %v, want %v after 5", n.Load(), err, cloudblob.ErrUnavailable)
	}
	front.Close()
	if err := s.Check(t.Context()); !errors.Is(err, cloudblob.ErrUnavailable) || strings.Contains(err.Error(), "\n") {
		t.Errorf("without a service: %v", err)
	}
}
