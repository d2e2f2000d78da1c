package record

import (
	"errors"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record/format"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// TestFormats: a cluster's first programs read whatever is written before it is raised, and
// refuse what is written from then on.
func TestFormats(t *testing.T) {
	all := kinds()
	for _, kind := range kinds() {
		for format := range uint64(Newest) {
			all = append(all, filled(kind, &counter{format: format + 1}))
		}
	}
	highest := map[string]uint64{}
	for _, e := range all {
		need := Needs(e)
		highest[nameOf(e)] = max(highest[nameOf(e)], need)
		if need < core.FirstFormat || need > Newest || CheckNeeds(e, need) != nil || CheckNeeds(e, need-1) == nil {
			t.Errorf("%T needs format %d", e, need)
		}
		b, err := EncodeBatch(nil, []core.Event{core.JobWoken{Job: 1}, e})
		if err != nil || uint64(b[1]) != need {
			t.Errorf("a batch with %T is one of format %d (%v); want %d", e, b[1], err, need)
		}
	}
	if highest["WorkerJoined"] != formatResources || highest["AttemptAssigned"] != formatResources || highest["JobSubmitted"] != formatLimits || highest["JobWoken"] != core.FirstFormat {
		t.Errorf("the events need %v", highest)
	}
	for e, want := range map[core.Event]uint64{
		core.QueueSet{Name: "night", Paused: true}:                                   core.FirstFormat,
		core.QueueSet{Policy: job.QueuePolicy{Order: job.ByAge}}:                     core.FormatLimits,
		core.PoolSet{Name: "night"}:                                                  core.FormatPools,
		core.ReservationRemoved{Name: "night"}:                                       core.FormatReservations,
		core.SlotReleased{Job: 1}:                                                    core.FormatLimits,
		core.NamespaceSet{Name: "team"}:                                              core.FirstFormat,
		core.NamespaceSet{Policy: job.NamespacePolicy{Limit: job.Limit{Running: 1}}}: core.FormatLimits,
	} {
		if got := Needs(e); got != want {
			t.Errorf("%+v needs format %d, want %d", e, got, want)
		}
	}
	if CheckRaise(Newest) != nil || !errors.Is(CheckRaise(Newest+1), ErrFormat) {
		t.Error("this program does not know what it knows")
	}
}

// TestRaisedRows reads the row that says the cluster's format.
func TestRaisedRows(t *testing.T) {
	for _, test := range []struct {
		format uint64
		header byte
		want   error
	}{{0, core.FirstFormat, nil}, {Newest, formatRaises, nil}, {Newest + 1, formatRaises, ErrFormat}} {
		rows := NewRows()
		rows.Counters(core.CountersImage{Epoch: 1, Format: test.format}, 1)
		f := rows.Flush(0, store.Mark{Seq: 1})
		s, err := load(t, f, 1)
		if f.Objects[0].Blob[1] != test.header || !errors.Is(err, test.want) {
			t.Errorf("format %d: a row of format %d, and %v; want %d and %v", test.format, f.Objects[0].Blob[1], err, test.header, test.want)
		}
		if err == nil && s.Format() != max(test.format, core.FirstFormat) {
			t.Errorf("format %d is read as %d", test.format, s.Format())
		}
	}
}

// TestRowsOfWhatWasAskedFor: what only a newer program can read says so, and nothing else does.
func TestRowsOfWhatWasAskedFor(t *testing.T) {
	for _, asked := range []element.Record{{}, {Way: 1}, {Memory: 1 << 30}} {
		r := element.Record{State: job.Failed, Attempts: 1, Way: asked.Way, Memory: asked.Memory}
		want := uint64(core.FirstFormat)
		if asked != (element.Record{}) {
			want = core.FormatAsks
		}
		table := element.NewTable(2)
		table.Set(0, r)
		for what, need := range map[string]uint64{
			"chunk": format.OfChunk(&core.ChunkImage{Columns: table.AppendChunk(nil, 0)}),
			"past":  format.OfPast(&core.PastAttempt{Way: r.Way, Memory: r.Memory}),
			"job":   format.OfJob(&core.JobImage{Tasks: []core.TaskImage{{Record: r}}}),
		} {
			if need != want {
				t.Errorf("the row of a %s with %+v needs format %d, want %d", what, r, need, want)
			}
		}
	}
}
