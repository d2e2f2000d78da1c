package pile

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// byRecord is the order of a heap of numbers of a pile, as the plan has it.
type byRecord Pile

func (p *byRecord) Before(a, b uint32) bool          { return (*Pile)(p).Get(a).Before((*Pile)(p).Get(b)) }
func (p *byRecord) Moved(id uint32, at int32)        { (*Pile)(p).Get(id).At = at }
func (p *byRecord) find(n name) (id uint32, ok bool) { return (*Pile)(p).Find(n.job, n.task, n.alone) }

type name struct {
	job   job.ID
	task  uint32
	alone bool
}

// TestPile checks names, numbers and the heap against a map.
func TestPile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Pile
		var h Heap
		want := map[name]int64{}
		draw := func(t *rapid.T) name {
			return name{
				job.ID(rapid.IntRange(1, 200).Draw(t, "job")), uint32(rapid.IntRange(0, 1).Draw(t, "task")), rapid.Bool().Draw(t, "alone"),
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := draw(t)
				if _, ok := want[n]; ok {
					t.Skip("it is there")
				}
				want[n] = rapid.Int64Range(-2, 2).Draw(t, "score")
				h.Push((*byRecord)(&p), p.Add(Record{Job: n.job, Part: n.task, Score: want[n], Ready: 1}, n.alone))
			},
			"drop": func(t *rapid.T) {
				n := draw(t)
				id, ok := (*byRecord)(&p).find(n)
				if _, has := want[n]; ok != has {
					t.Fatalf("%+v is known: %v", n, ok)
				}
				if !ok {
					t.Skip("it is not there")
				}
				h.Remove((*byRecord)(&p), p.Get(id).At)
				p.Drop(id, n.alone)
				delete(want, n)
			},
			"": func(t *rapid.T) {
				if p.Len() != len(want) || len(h) != len(want) {
					t.Fatalf("%d groups, %d in the heap, want %d", p.Len(), len(h), len(want))
				}
				for n, score := range want {
					id, ok := (*byRecord)(&p).find(n)
					if r := p.Get(id); !ok || r.Job != n.job || r.Part != n.task || r.Score != score || h[r.At] != id {
						t.Fatalf("%+v has number %d: %+v", n, id, r)
					}
				}
				for i, id := range h {
					if slices.ContainsFunc(h, func(o uint32) bool { return i == 0 && p.Get(o).Before(p.Get(id)) }) {
						t.Fatalf("%+v is first and not the least", p.Get(id))
					}
				}
			},
		})
	})
}
