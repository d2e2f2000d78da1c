package member

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
)

// TestPeers: each server knows the others, who leads, how they fare, and for a while those
// that were killed.
func TestPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		say := func(version string, format uint64) func(*Options) {
			return func(o *Options) { o.Self.Version, o.Self.Format = version, format }
		}
		x, y := start(t, s, 1, say("v2", 3)), start(t, s, 2, say("v1", 0))
		defer end(t, x, y)
		first := leading(t, x, y)
		killed := store.Server{ID: [16]byte{9}, Address: "https://killed", Version: "v1", Format: 2, Behind: -1}
		if _, err := s.Cluster().Meet(t.Context(), killed, time.Minute); err != nil {
			t.Fatal(err)
		}
		<-time.After(20 * time.Second)
		for _, at := range []*node{x, y} {
			peers, err := at.Peers(t.Context())
			if err != nil || len(peers) != 3 {
				t.Fatalf("%d peers, %v", len(peers), err)
			}
			roles := map[string]string{}
			for i := range peers {
				roles[peers[i].Address] = peers[i].Role()
			}
			if want := map[bool]string{true: "leader", false: "follower"}; roles["https://killed"] != "away" ||
				roles[x.o.Self.Address] != want[x == first] || roles[y.o.Self.Address] != want[y == first] {
				t.Errorf("the peers are %v", roles)
			}
			if peers.Common(1) != 1 || peers.Common(4) != 4 {
				t.Errorf("what all know is %d, and %d in a cluster of format 4", peers.Common(1), peers.Common(4))
			}
			if held := peers.HeldBack(2); !strings.Contains(held, "https://killed (version v1, seen 20s ago)") || !strings.Contains(held, y.o.Self.Address) || strings.Contains(held, x.o.Self.Address) {
				t.Errorf("held back by %s", held)
			}
			if held := peers.HeldBack(3); held != "" {
				t.Errorf("held back by %s, though nobody knows more", held)
			}
		}
		<-time.After(recent)
		if peers, err := x.Peers(t.Context()); err != nil || len(peers) != 2 {
			t.Errorf("after a long while there are %d peers, %v", len(peers), err)
		}
		if Peers(nil).Common(2) != 2 {
			t.Error("nobody knows nothing")
		}
	})
}
