package store

import (
	"context"
	"fmt"
	"time"
)

// Lease is one server's right to lead, as the database's clock sees it.
type Lease struct {
	// Holder is the server that has or had it, zero when nobody ever did, and Address
	// where other servers reach that one.
	Holder  [16]byte
	Address string
	// Left is how long it lasts; at zero or less it is free.
	Left time.Duration
	// Generation is the least that the next term may begin in: see Raise.
	Generation uint64
	// Now is the database's time, in Unix milliseconds.
	Now int64
}

// Server is one of the servers that share a store.
type Server struct {
	// ID is random per process.
	ID [16]byte
	// Address is where other servers and clients reach it, as a URL.
	Address string
	// Version is what the program says it is, and Format the newest format of the journal
	// and tables that it can read and write.
	Version string
	Format  uint64
	// Behind is how long ago it was last known to have seen everything, in whole milliseconds;
	// negative where it does not say. Trouble is why it can neither lead nor follow.
	Behind  time.Duration
	Trouble string
	// Ago is how long ago it was there, where Meet returns it.
	Ago time.Duration
}

// Bounds of what a Cluster keeps.
const (
	// MaxServers bounds the servers that Meet returns: those that were seen last.
	MaxServers = 64
	// MaxAddress bounds an address, version or trouble, MaxSecret a secret, in bytes.
	MaxAddress = 1 << 10
	MaxSecret  = 64 << 10
)

// Cluster is what several servers on one store agree on, by the database's clock: who
// leads, who there is, and secrets that they share. The lease only says who should try to
// lead; what keeps two leaders apart is the journal. All methods may run concurrently.
// Each is one short statement or transaction and repeats safely.
type Cluster interface {
	// Claim gives the lease to holder for length when it is free, and renews it when
	// holder has it. It returns the lease as it then stands: whoever is Holder leads.
	Claim(ctx context.Context, holder [16]byte, address string, length time.Duration) (Lease, error)
	// Yield makes the lease free at once if holder has it.
	Yield(ctx context.Context, holder [16]byte) error
	// Current returns the lease as it stands.
	Current(ctx context.Context) (Lease, error)
	// Raise notes that history was lost: the next term begins in generation or a later
	// one. It never falls.
	Raise(ctx context.Context, generation uint64) error
	// Meet notes that self is there and returns the servers, self among them, that were
	// within the given time, in order of their addresses.
	Meet(ctx context.Context, self Server, within time.Duration) ([]Server, error)
	// Leave takes a server off that list.
	Leave(ctx context.Context, id [16]byte) error
	// Secret returns what stands under name: proposal, when nothing did before.
	Secret(ctx context.Context, name string, proposal []byte) ([]byte, error)
}

// Check returns ErrRefused with the reason when no list of servers takes s.
func (s *Server) Check() error {
	if s.ID == ([16]byte{}) || len(s.Address) > MaxAddress || len(s.Version) > MaxAddress || len(s.Trouble) > MaxAddress {
		return fmt.Errorf("%w: server %x with an address of %d bytes, a version of %d and trouble of %d: want an id and at most %d bytes",
			ErrRefused, s.ID, len(s.Address), len(s.Version), len(s.Trouble), MaxAddress)
	}
	return nil
}

// CheckClaim returns ErrRefused with the reason when no lease can be claimed like that.
func CheckClaim(holder [16]byte, address string, length time.Duration) error {
	if holder == ([16]byte{}) || len(address) > MaxAddress || length < time.Millisecond {
		return fmt.Errorf("%w: a lease of %s for %x at an address of %d bytes: want at least 1ms, an id and at most %d bytes",
			ErrRefused, length, holder, len(address), MaxAddress)
	}
	return nil
}

// CheckSecret returns ErrRefused with the reason when no secret can be kept like that.
func CheckSecret(name string, proposal []byte) error {
	if name == "" || len(name) > MaxAddress || len(proposal) == 0 || len(proposal) > MaxSecret {
		return fmt.Errorf("%w: a secret of %d bytes under the name %.80q: want a name and 1 to %d bytes",
			ErrRefused, len(proposal), name, MaxSecret)
	}
	return nil
}
