package client

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Params makes the parameters of a SubmitItem of Go values: what encoding/json makes
// text, a number, a boolean or a list of them. Whole numbers travel as text, which
// keeps all their digits; the job file gives them their type.
func Params(values map[string]any) (*structpb.Struct, error) {
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(values))}
	for name, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		var plain any
		if err := d.Decode(&plain); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		if s.Fields[name], err = paramValue(plain); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	return s, nil
}

func paramValue(v any) (*structpb.Value, error) {
	switch v := v.(type) {
	case string:
		return structpb.NewStringValue(v), nil
	case bool:
		return structpb.NewBoolValue(v), nil
	case json.Number:
		return structpb.NewStringValue(v.String()), nil
	case []any:
		list := &structpb.ListValue{}
		for _, item := range v {
			one, err := paramValue(item)
			if err != nil {
				return nil, err
			}
			list.Values = append(list.Values, one)
		}
		return structpb.NewListValue(list), nil
	}
	return nil, fmt.Errorf("want a text, a number, a boolean or a list of them, not %T", v)
}

// Time makes a message's time; the zero time is none.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
