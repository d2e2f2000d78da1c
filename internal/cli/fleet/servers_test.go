package fleet

import (
	"bytes"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/client"
)

func TestProspect(t *testing.T) {
	servers := func(newest ...uint32) (out []*client.Server) {
		for _, n := range newest {
			out = append(out, &client.Server{NewestFormat: n})
		}
		return out
	}
	for _, test := range []struct {
		found *client.Servers
		says  string
	}{
		{&client.Servers{Format: 1, NextFormat: 2, Servers: servers(3, 2)}, "all servers know 2: reeve upgrade --finalize"},
		{&client.Servers{Format: 1, NextFormat: 1, Servers: servers(1, 2)}, "not all servers know a newer one yet"},
		{&client.Servers{Format: 2, NextFormat: 2, Servers: servers(2, 2)}, "the newest that its servers know"},
	} {
		if got := prospect(test.found); !strings.Contains(got, test.says) {
			t.Errorf("%v: %q does not say %q", test.found, got, test.says)
		}
	}
}

func TestServersTable(t *testing.T) {
	behind := int64(1500)
	all := []*client.Server{
		{Address: "https://a:1", Role: "leader", Version: "v2", NewestFormat: 2},
		{Address: "https://b:1", Role: "unable", NewestFormat: 1, BehindMs: &behind, Trouble: "too old"},
	}
	for format, want := range map[string]string{
		"table": "SERVER       ROLE    VERSION  FORMAT  BEHIND  SEEN\nhttps://a:1  leader  v2       2       -       -\nhttps://b:1  unable  -        1       1.5s    -\n",
		"wide": "SERVER       ROLE    VERSION  FORMAT  BEHIND  SEEN  TROUBLE\nhttps://a:1  leader  v2       2       -       -     -\n" +
			"https://b:1  unable  -        1       1.5s    -     too old\n",
	} {
		var out bytes.Buffer
		e := Env{Printer: &render.Printer{Out: &out, Format: format}}
		if err := e.table(all); err != nil || out.String() != want {
			t.Errorf("%s (%v):\n%s\nwant\n%s", format, err, out.String(), want)
		}
	}
}
