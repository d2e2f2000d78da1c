package api

import (
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/member"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// TestFormatIsRaised when all servers know it, not before, and once.
func TestFormatIsRaised(t *testing.T) {
	r := newRig(t)
	admin := r.as(r.admin)
	leader := member.Peer{Server: store.Server{Address: "https://a:1", Version: "new", Format: record.Newest}, Leads: true}
	old := member.Peer{Server: store.Server{Address: "https://b:1", Version: "old", Format: 1, Behind: 30 * time.Millisecond}}
	gone := member.Peer{Server: store.Server{Address: "https://c:1", Version: "old", Format: 1, Behind: -1, Ago: 3 * time.Minute}}
	r.peers = func() (member.Peers, error) { return member.Peers{leader, old, gone}, nil }
	list := do(t, admin.servers.List, &reevev1.ServerServiceListRequest{})
	if list.GetFormat() != 1 || list.GetNextFormat() != 1 || len(list.GetServers()) != 3 {
		t.Fatalf("the list says %v", list)
	}
	for i, want := range []string{"leader", "follower", "away"} {
		if s := list.GetServers()[i]; s.GetRole() != want || (s.BehindMs != nil) != (i == 1) {
			t.Errorf("server %d is %v; want a %s", i, s, want)
		}
	}
	refused := func(code connect.Code, says ...string) {
		t.Helper()
		_, err := admin.servers.Finalize(t.Context(), connect.NewRequest(&reevev1.FinalizeRequest{}))
		if connect.CodeOf(err) != code {
			t.Fatalf("Finalize = %v, want %s", err, code)
		}
		for _, part := range says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
	}
	refused(connect.CodeFailedPrecondition, "format is 1", "https://b:1 (version old, seen 0s ago)", "https://c:1 (version old, seen 3m0s ago)", "upgrade what is older")
	r.peers = func() (member.Peers, error) { return nil, errors.New("no database") }
	refused(connect.CodeUnavailable)

	r.peers = func() (member.Peers, error) { return member.Peers{leader}, nil }
	if list = do(t, admin.servers.List, &reevev1.ServerServiceListRequest{}); list.GetFormat() != 1 || list.GetNextFormat() != record.Newest {
		t.Errorf("the list says %v", list)
	}
	for _, before := range []uint32{1, record.Newest} {
		if f := do(t, admin.servers.Finalize, &reevev1.FinalizeRequest{}); f.GetBefore() != before || f.GetFormat() != record.Newest {
			t.Errorf("Finalize says %v", f)
		}
	}
	r.restart()
	r.peers = func() (member.Peers, error) { return member.Peers{leader, old}, nil }
	if list = do(t, admin.servers.List, &reevev1.ServerServiceListRequest{}); list.GetFormat() != record.Newest || list.GetNextFormat() != record.Newest {
		t.Errorf("after a restart the list says %v", list)
	}
}
