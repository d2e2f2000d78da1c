package record

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// kinds is every kind of event; TestKindsAreWhole holds it to package core.
func kinds() []core.Event {
	return []core.Event{
		core.EpochStarted{}, core.NamespaceSet{}, core.QueueSet{}, core.TokenSet{}, core.SpecAdded{}, core.JobSubmitted{},
		core.JobWoken{}, core.AfterMet{}, core.TaskReady{}, core.ElementsOpened{}, core.ElementsEnded{}, core.ElementWoken{},
		core.JobEnded{}, core.AttemptAssigned{}, core.AttemptStarted{}, core.AttemptEnded{}, core.AttemptReturned{},
		core.AttemptRecalled{}, core.AttemptStopped{}, core.CancelRequested{}, core.HoldSet{}, core.WorkerJoined{},
		core.WorkerAway{}, core.WorkerDrained{}, core.WorkerForgotten{}, core.WorkerUnfit{}, core.AttemptsStopped{}, core.FormatRaised{}, core.StateDigested{}, core.SlotReleased{}, core.JobChanged{}, core.PoolSet{}, core.ReservationSet{}, core.ReservationRemoved{},
	}
}

func nameOf(e any) string { return reflect.TypeOf(e).Name() }

// coreKinds reads the kinds of events off the source of package core: the types
// with a method event.
func coreKinds(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("../core/*.go")
	if err != nil || len(paths) == 0 {
		t.Fatalf("the source of core: %v", err)
	}
	var names []string
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != "event" {
				continue
			}
			if recv, ok := fn.Recv.List[0].Type.(*ast.Ident); ok {
				names = append(names, recv.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// source makes the values that fill puts into fields.
type source interface {
	number(limit uint64) uint64
	text() string
	// length is of a list; -1 stands for nil.
	length() int
	// since is the source for a field that came with a format, nil to leave it out.
	since(format uint64) source
}

// since says which fields of what is stored came with a format after the first.
func since() map[string]uint64 {
	return map[string]uint64{
		"Resources.Other": formatResources, "Hello.Devices": formatResources, "Hello.Pool": formatResources,
		"AttemptAssigned.Devices": formatResources, "AttemptImage.Devices": formatResources,
		"NamespaceSet.Policy": formatLimits, "QueueSet.Policy": formatLimits, "QueueImage.Paid": formatLimits,
		"JobSubmitted.Keys": formatLimits, "JobImage.Keys": formatLimits, "JobImage.Released": formatLimits, "AttemptImage.Released": formatLimits, "JobImage.Front": formatChanges,
		"AttemptEnded.Awaits": formatGangs, "AttemptImage.Ended": formatGangs, "Carry.Worker": formatNear, "TaskImage.Last": formatNear,
	}
}

// counter fills every field with something, the same each time. Fields that are newer than a
// format are left out, and change nothing for the others where they are not.
type counter struct {
	n      uint64
	format uint64
}

// sampleOf is the counter of a name such as Hello/3, which is of format 3.
func sampleOf(name string) (string, *counter) {
	name, format, newer := strings.Cut(name, "/")
	n, err := strconv.ParseUint(format, 10, 64)
	if err != nil && newer {
		panic(name + "/" + format)
	}
	return name, &counter{format: max(n, core.FirstFormat)}
}

// sampled is names, each also with the formats in which its sample is another.
func sampled(names []string, encode func(name string) string) (out []string) {
	for _, name := range names {
		out = append(out, name)
		last := encode(name)
		for format := range uint64(Newest) {
			newer := fmt.Sprintf("%s/%d", name, format+1)
			if b := encode(newer); b != last {
				out, last = append(out, newer), b
			}
		}
	}
	return out
}

func (c *counter) number(limit uint64) uint64 {
	c.n++
	if limit < 8 {
		return limit
	}
	return c.n * 7 % limit
}

func (c *counter) text() string { c.n++; return fmt.Sprintf("text-%d", c.n) }
func (c *counter) length() int  { return 2 }

func (c *counter) since(format uint64) source {
	switch {
	case format == 0:
		return c
	case format > c.format:
		return nil
	}
	return &counter{format: c.format}
}

// drawn fills fields with what rapid draws.
type drawn struct{ t *rapid.T }

func (d drawn) number(limit uint64) uint64 {
	return rapid.OneOf(rapid.Just(uint64(0)), rapid.Just(limit), rapid.Uint64Range(0, limit)).Draw(d.t, "number")
}
func (d drawn) text() string { return rapid.String().Draw(d.t, "text") }
func (d drawn) length() int  { return rapid.IntRange(-1, 3).Draw(d.t, "length") }

func (d drawn) since(uint64) source { return d }

// fill sets every field that is stored, by reflection, so that a field that the
// codec does not know can't go unnoticed.
func fill(v reflect.Value, from source) {
	switch v.Interface().(type) {
	case job.ElementState:
		v.SetUint(from.number(uint64(job.Skipped)))
		return
	case job.State:
		v.SetUint(from.number(uint64(job.JobCancelled)))
		return
	case job.Condition:
		v.SetUint(from.number(uint64(job.OnAny)))
		return
	case job.Order:
		v.SetUint(from.number(uint64(job.ByShare)))
		return
	case job.Backfill:
		v.SetUint(from.number(uint64(job.BackfillNone)))
		return
	case []link.Held:
		return // what a worker held is not stored
	case job.Amounts:
		var c job.Amounts
		for range from.length() {
			c = c.Set(fmt.Sprintf("r%d", from.number(99)), int64(from.number(1<<64-1)))
		}
		v.SetString(string(c))
		return
	case job.Devices:
		var d job.Devices
		for range from.length() {
			d = d.Set(fmt.Sprintf("d%d", from.number(99)), []string{fmt.Sprint(from.number(9)), fmt.Sprintf("x%d", from.number(9))})
		}
		v.SetString(string(d))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for f, field := range v.Fields() {
			if of := from.since(since()[v.Type().Name()+"."+f.Name]); of != nil {
				fill(field, of)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), from)
		}
	case reflect.Pointer:
		if from.length() >= 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), from)
		}
	case reflect.Slice:
		n := from.length()
		if n < 0 || n == 0 && v.Type().Elem().Kind() != reflect.Uint8 {
			return // an empty list reads back as nil
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(v.Index(i), from)
		}
	case reflect.Map:
		for range from.length() {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			v.SetMapIndex(reflect.ValueOf(from.text()), reflect.ValueOf(from.text()))
		}
	case reflect.String:
		v.SetString(from.text())
	case reflect.Bool:
		v.SetBool(from.number(1) == 1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(from.number(1<<v.Type().Bits() - 1))
	case reflect.Int, reflect.Int32, reflect.Int64:
		n := int64(from.number(1<<v.Type().Bits() - 1))
		v.SetInt(n << (64 - v.Type().Bits()) >> (64 - v.Type().Bits()))
	default:
		panic("no rule for " + v.Type().String())
	}
}

// filled returns a value like the example with every field filled.
func filled[T any](example T, from source) T {
	v := reflect.New(reflect.TypeOf(example)).Elem()
	fill(v, from)
	return v.Interface().(T)
}
