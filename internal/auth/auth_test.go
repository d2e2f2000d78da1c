package auth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/auth"
)

func TestScopes(t *testing.T) {
	tests := []struct {
		text, spelled string
		want          auth.Scopes
	}{
		{"admin", "admin", auth.Admin},
		{"read,submit", "submit,read", auth.Submit | auth.Read},
		{"read, read", "read", auth.Read},
		{"worker,read,submit,admin", "admin,submit,read,worker", auth.Admin | auth.Submit | auth.Read | auth.Worker},
	}
	for _, tt := range tests {
		got, err := auth.ParseScopes(tt.text)
		if err != nil || got != tt.want || got.String() != tt.spelled {
			t.Errorf("ParseScopes(%q) = %v, %v; want %s", tt.text, got, err, tt.spelled)
		}
		if again, err := auth.ParseScopes(got.String()); err != nil || again != got {
			t.Errorf("ParseScopes(%q) = %v, %v", got.String(), again, err)
		}
	}
	for _, bad := range []string{"", "read,", "Read", "all", "read;submit", ",", "no scope"} {
		if got, err := auth.ParseScopes(bad); err == nil {
			t.Errorf("ParseScopes(%q) = %v, want an error", bad, got)
		}
	}
	if got := auth.Scopes(0).String(); got != "no scope" {
		t.Errorf("the empty set is %q", got)
	}
}

// The scope numbers are stored with tokens: they may never change.
func TestScopeNumbersAreStored(t *testing.T) {
	got := []auth.Scopes{auth.Admin, auth.Submit, auth.Read, auth.Worker}
	if diff := cmp.Diff([]auth.Scopes{1, 2, 4, 8}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAllowTable(t *testing.T) {
	perms := []auth.Permission{auth.Open, auth.Authenticated, auth.ReadJobs, auth.SubmitJobs, auth.Work, auth.Administer}
	tests := []struct {
		name       string
		scopes     auth.Scopes
		namespaces []string
		namespace  string
		// allowed has a letter per permission that is allowed, in order: o a r s w m.
		allowed string
	}{
		{"admin in a namespace", auth.Admin, nil, "default", "oarswm"},
		{"admin cluster-wide", auth.Admin, nil, auth.ClusterWide, "oarswm"},
		{"submit", auth.Submit, nil, "default", "oas"},
		{"read", auth.Read, nil, "default", "oar"},
		{"submit and read", auth.Submit | auth.Read, nil, "default", "oars"},
		{"worker", auth.Worker, nil, auth.ClusterWide, "oaw"},
		{"nothing", 0, nil, "default", "oa"},
		{"read cluster-wide", auth.Read, nil, auth.ClusterWide, "oar"},
		{"limited, in its own", auth.Submit | auth.Read, []string{"x", "team"}, "team", "oars"},
		{"limited, elsewhere", auth.Submit | auth.Read, []string{"x", "team"}, "default", "oa"},
		{"limited, a prefix", auth.Read, []string{"team"}, "team-b", "oa"},
		{"limited, a shorter one", auth.Read, []string{"team"}, "tea", "oa"},
		{"limited, cluster-wide", auth.Read, []string{"team"}, auth.ClusterWide, "oa"},
		{"limited admin, in its own", auth.Admin, []string{"team"}, "team", "oarswm"},
		{"limited admin, elsewhere", auth.Admin, []string{"team"}, "default", "oa"},
		{"limited admin, cluster-wide", auth.Admin, []string{"team"}, auth.ClusterWide, "oa"},
		{"limited to the empty name", auth.Read, []string{""}, auth.ClusterWide, "oa"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := auth.Subject{ID: "1", Name: "ci", Scopes: tt.scopes, Namespaces: tt.namespaces}
			got := ""
			for i, p := range perms {
				err := auth.Allow(s, p, tt.namespace)
				if err == nil {
					got += "oarswm"[i : i+1]
				} else if !errors.Is(err, auth.ErrDenied) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v: %v, want one line of ErrDenied", p, err)
				}
			}
			if got != tt.allowed {
				t.Errorf("allowed %q, want %q", got, tt.allowed)
			}
		})
	}
}

func TestAllowRefusesWithoutAPolicy(t *testing.T) {
	for _, p := range []auth.Permission{0, 7, 200} {
		err := auth.Allow(auth.Local(), p, "default")
		if !errors.Is(err, auth.ErrDenied) || !strings.Contains(err.Error(), "no policy") {
			t.Errorf("permission %d: %v", p, err)
		}
	}
}

func TestRefusalsSayWhatIsMissing(t *testing.T) {
	limited := []string{"team-a", "team-b"}
	tests := []struct {
		s    auth.Subject
		p    auth.Permission
		ns   string
		want string
	}{
		{auth.Subject{Name: "ci", Scopes: auth.Read}, auth.SubmitJobs, "default",
			"permission denied: token ci (read) may not submit or change jobs in namespace default; it needs scope submit"},
		{auth.Subject{Name: "w1", Scopes: auth.Worker}, auth.ReadJobs, "default",
			"permission denied: token w1 (worker) may not read jobs in namespace default; it needs scope read"},
		{auth.Subject{Name: "ci", Scopes: auth.Submit | auth.Read}, auth.Administer, auth.ClusterWide,
			"permission denied: token ci (submit,read) may not administer; it needs scope admin"},
		{auth.Subject{Name: "ci", Scopes: auth.Read, Namespaces: limited}, auth.ReadJobs, "default",
			"permission denied: token ci (read) may not read jobs in namespace default; it is limited to namespace team-a, team-b"},
		{auth.Subject{Name: "boss", Scopes: auth.Admin, Namespaces: limited}, auth.Administer, auth.ClusterWide,
			"permission denied: token boss (admin) may not administer for the whole cluster; it is limited to namespace team-a, team-b"},
		{auth.Subject{Name: "none"}, auth.Work, auth.ClusterWide,
			"permission denied: token none (no scope) may not act as a worker; it needs scope worker"},
	}
	for _, tt := range tests {
		err := auth.Allow(tt.s, tt.p, tt.ns)
		if err == nil {
			t.Errorf("%s was allowed to %s", tt.s.Name, tt.p)
			continue
		}
		if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReaches(t *testing.T) {
	all, some := auth.Subject{}, auth.Subject{Namespaces: []string{"a", "b"}}
	got := []bool{all.Reaches("a"), all.Reaches(""), some.Reaches("b"), some.Reaches("c"), some.Reaches("")}
	if diff := cmp.Diff([]bool{true, true, true, false, false}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPolicy(t *testing.T) {
	p, err := auth.NewPolicy([]auth.Entry{
		{Method: "reeve.v1.JobService/Submit", Needs: auth.SubmitJobs},
		{Method: "reeve.v1.HealthService/Check", Needs: auth.Open},
	})
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]auth.Permission{
		"reeve.v1.JobService/Submit":     auth.SubmitJobs,
		"/reeve.v1.JobService/Submit":    auth.SubmitJobs,
		"reeve.v1.HealthService/Check":   auth.Open,
		"reeve.v1.HealthService/CheckX":  0,
		"reeve.v1.HealthService/":        0,
		"reeve.v1.HealthService":         0,
		"REEVE.v1.HealthService/Check":   0,
		"//reeve.v1.HealthService/Check": 0,
		"":                               0,
	} {
		if got := p.Needs(method); got != want {
			t.Errorf("Needs(%q) = %v, want %v", method, got, want)
		}
	}
}

func TestPolicyCheck(t *testing.T) {
	p, err := auth.NewPolicy([]auth.Entry{{"s/A", auth.ReadJobs}, {"s/B", auth.Administer}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		methods []string
		want    string
	}{
		{[]string{"s/A", "s/B"}, ""},
		{[]string{"/s/B", "/s/A"}, ""},
		{[]string{"s/A", "s/B", "s/C", "s/D"}, "no permission is set for s/C, s/D"},
		{[]string{"s/A"}, "no such method: s/B"},
		{nil, "no such method: s/A, s/B"},
	}
	for _, tt := range tests {
		err := p.Check(tt.methods)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("Check(%q) = %v, want %q", tt.methods, err, tt.want)
		}
	}
}

func TestNewPolicyRefuses(t *testing.T) {
	for want, entries := range map[string][]auth.Entry{
		"s/A stands there twice": {{"s/A", auth.ReadJobs}, {"s/A", auth.ReadJobs}},
		"s/B has no permission":  {{"s/B", 0}},
		"s/C has no permission":  {{"s/C", 99}},
		"no method name":         {{"", auth.Open}},
	} {
		if _, err := auth.NewPolicy(entries); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewPolicy = %v, want %q", err, want)
		}
	}
}
