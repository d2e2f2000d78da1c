package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Marshal is json.Marshal that refuses text which is not UTF-8: encoding/json would
// change it without a word.
func Marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	_, raw := v.(json.RawMessage) // in which the escape below may be meant
	if at := replaced(b); !utf8.Valid(b) || at >= 0 && !raw {
		before := strings.ToValidUTF8(string(b[max(at-40, 0):max(at, 0)]), "")
		return nil, fmt.Errorf("text that is not UTF-8 (after %s); give bytes as []byte, which JSON carries in base64", before)
	}
	return b, nil
}

// replaced finds the escape that encoding/json puts for bytes which are not UTF-8, -1 if
// there is none: the character U+FFFD itself it writes as it is.
func replaced(b []byte) int {
	const escape = `\ufffd`
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte(escape))
		if i < 0 {
			return -1
		}
		i += from
		before := b[:i]
		if slashes := len(before) - len(bytes.TrimRight(before, `\`)); slashes%2 == 0 {
			return i
		}
		from = i + len(escape)
	}
}

// Params makes the parameters of a SubmitItem of Go values: what encoding/json makes
// text, a number, a boolean or a list of them. Whole numbers travel as text, which
// keeps all their digits; the job file gives them their type.
func Params(values map[string]any) (*structpb.Struct, error) {
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(values))}
	for name, v := range values {
		b, err := Marshal(v)
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
