// Package aztest starts a real server of Azure Blob Storage for tests, which checks signatures:
// Azurite, in memory, on a free port of the loopback interface. It ends with the test process,
// however that ends.
package aztest

import (
	"fmt"
	"net"
	"net/url"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/reeve-scheduler/reeve/internal/blob/programtest"
)

const (
	// Account is the only one that a server knows.
	Account = "reevetest"
	// Key is what goes with it.
	Key = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"
)

// program is where `make deps` leaves the server, from the top of the repository.
const program = "tools/azurite/node_modules/.bin/azurite-blob"

// Server is a server of Azure Blob Storage. Its methods fail the test that calls them, and one
// goroutine calls them.
type Server struct{ listen string }

// Start starts a server that runs until the test ends. Without its program it skips the test, or
// fails it where CI=true.
func Start(tb testing.TB) *Server {
	tb.Helper()
	file := programtest.Find(tb, program)
	s := &Server{listen: programtest.Listen(tb)}
	host, port, _ := net.SplitHostPort(s.listen) // it has both
	p := programtest.Start(tb, s.Endpoint(), tb.TempDir(), []string{"AZURITE_ACCOUNTS=" + Account + ":" + Key},
		"node", file, "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent", "--blobHost", host, "--blobPort", port)
	tb.Cleanup(p.Stop)
	return s
}

// Endpoint is the account's URL.
func (s *Server) Endpoint() string { return "http://" + s.listen + "/" + Account }

// Container makes a container and returns its address.
func (s *Server) Container(tb testing.TB, name string) string {
	tb.Helper()
	key, err := container.NewSharedKeyCredential(Account, Key)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := container.NewClientWithSharedKeyCredential(s.Endpoint()+"/"+name, key, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := c.Create(tb.Context(), nil); err != nil {
		tb.Fatal(err)
	}
	return s.Address(name)
}

// Address is that of a container, which need not be there.
func (s *Server) Address(container string) string {
	return fmt.Sprintf("azblob://%s/some/where?account=%s&endpoint=%s", container, Account, url.QueryEscape(s.Endpoint()))
}

// Env is the key, as processes find it in their environment.
func Env() []string { return []string{"AZURE_STORAGE_KEY=" + Key} }
