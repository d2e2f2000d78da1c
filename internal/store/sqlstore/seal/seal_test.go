package seal

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/store"
)

func TestLabels(t *testing.T) {
	for _, labels := range [][]string{nil, {""}, {"a=b"}, {"", "x", strings.Repeat("é", 1000)}} {
		got, ok := Labels(AppendLabels(nil, labels))
		if d := cmp.Diff(labels, got); !ok || d != "" {
			t.Errorf("labels (-want +got):\n%s", d)
		}
	}
	for _, bad := range [][]byte{{5, 'a'}, {0xff}, {1}} {
		if got, ok := Labels(bad); ok {
			t.Errorf("Labels(%x) = %q, want a refusal", bad, got)
		}
	}
}

// TestJobCoversEveryColumn changes one thing at a time.
func TestJobCoversEveryColumn(t *testing.T) {
	seen := map[int64]string{}
	for name, change := range map[string]func(j *store.JobRow){
		"nothing": func(*store.JobRow) {}, "the id": func(j *store.JobRow) { j.ID++ }, "its life": func(j *store.JobRow) { j.Live = true },
		"the change": func(j *store.JobRow) { j.Changed++ }, "the namespace": func(j *store.JobRow) { j.Namespace = "x" },
		"the queue": func(j *store.JobRow) { j.Queue = "x" }, "the name": func(j *store.JobRow) { j.Name = "x" },
		"the state": func(j *store.JobRow) { j.State++ }, "its beginning": func(j *store.JobRow) { j.Submitted++ },
		"its end": func(j *store.JobRow) { j.Ended++ }, "its keep": func(j *store.JobRow) { j.KeepUntil++ },
		"its key": func(j *store.JobRow) { j.KeyHash++ }, "its labels": func(j *store.JobRow) { j.Labels = []string{"x"} },
		"its spec": func(j *store.JobRow) { j.Spec[31]++ }, "its state": func(j *store.JobRow) { j.Blob = []byte{0} },
	} {
		j := store.JobRow{ID: 1}
		change(&j)
		sum, _ := Job(nil, &j, AppendLabels(nil, j.Labels))
		if other, same := seen[sum]; same {
			t.Errorf("%s changes no more than %s", name, other)
		}
		seen[sum] = name
	}
}
