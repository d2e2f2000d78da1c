package record

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// checkSame compares a Go struct with a message by the fields' names, which the
// schema takes from core.
func checkSame(t *rapid.T, path string, value any, m protoreflect.Message) {
	t.Helper()
	if len(m.GetUnknown()) > 0 {
		t.Fatalf("%s: the schema lacks a field: % x", path, m.GetUnknown())
	}
	v := reflect.ValueOf(value)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if _, held := reflect.TypeAssert[[]link.Held](v.Field(i)); held {
			continue
		}
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(snake(name)))
		if fd == nil {
			t.Fatalf("%s: the schema has no field %s", path, snake(name))
		}
		checkField(t, path+"."+name, v.Field(i), m, fd)
	}
	if extra := m.Descriptor().Fields().Len() - stored(v.Type()); extra != 0 {
		t.Fatalf("%s: the schema has %d fields more than core", path, extra)
	}
}

func stored(t reflect.Type) (n int) {
	for f := range t.Fields() {
		if f.Type != reflect.TypeFor[[]link.Held]() {
			n++
		}
	}
	return n
}

func checkField(t *rapid.T, path string, v reflect.Value, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	t.Helper()
	got := m.Get(fd)
	same := true
	amounts, counted := reflect.TypeAssert[job.Amounts](v)
	devices, named := reflect.TypeAssert[job.Devices](v)
	switch {
	case named:
		same = devices.Len() == got.Map().Len()
		for name, ids := range devices.All {
			same = same && got.Map().Get(protoreflect.ValueOfString(name).MapKey()).String() == strings.Join(ids, ",")
		}
	case counted:
		same = amounts.Len() == got.Map().Len()
		for name, n := range amounts.All {
			same = same && got.Map().Get(protoreflect.ValueOfString(name).MapKey()).Int() == n
		}
	case fd.IsMap():
		same = v.Len() == got.Map().Len()
		for iter := v.MapRange(); iter.Next(); {
			same = same && got.Map().Get(protoreflect.ValueOfString(iter.Key().String()).MapKey()).String() == iter.Value().String()
		}
	case fd.IsList():
		same = v.Len() == got.List().Len()
		for i := 0; same && i < v.Len(); i++ {
			if fd.Message() != nil {
				checkSame(t, fmt.Sprintf("%s[%d]", path, i), v.Index(i).Interface(), got.List().Get(i).Message())
			} else {
				same = v.Index(i).Interface() == got.List().Get(i).Interface()
			}
		}
	case fd.Message() != nil:
		checkSame(t, path, v.Interface(), got.Message())
	case fd.Kind() == protoreflect.BytesKind && v.Kind() == reflect.Array:
		want := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(want), v)
		same = string(want) == string(got.Bytes())
	case fd.Kind() == protoreflect.BytesKind:
		same = string(v.Bytes()) == string(got.Bytes()) && v.IsNil() != m.Has(fd)
	case v.CanUint():
		same = v.Uint() == got.Uint()
	case v.CanInt():
		same = v.Int() == got.Int()
	default:
		same = v.Interface() == got.Interface()
	}
	if !same {
		t.Fatalf("%s: encoded %v, the generated code reads %v", path, v, got)
	}
}

// snake turns LogSize, UID and CPU into log_size, uid and cpu.
func snake(name string) string {
	var out strings.Builder
	for i, c := range name {
		if unicode.IsUpper(c) && i > 0 && !unicode.IsUpper(rune(name[i-1])) {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(c))
	}
	return out.String()
}
