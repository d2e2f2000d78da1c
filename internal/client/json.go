package client

import (
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// JSON writes a message as the API's JSON does, but for whole numbers of 64 bits:
// they are numbers here, as in job files, and not text. Fields that are zero, false
// or empty are left out.
func JSON(m proto.Message) ([]byte, error) {
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return nil, err
	}
	if fields, err = plain(m.ProtoReflect().Descriptor(), fields); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// plain writes the numbers of a message's JSON as numbers.
func plain(d protoreflect.MessageDescriptor, fields map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	for name, raw := range fields {
		f := d.Fields().ByName(protoreflect.Name(name))
		if f == nil {
			continue
		}
		kind := f.Kind()
		if f.IsMap() {
			kind = f.MapValue().Kind()
		}
		var err error
		switch {
		case kind == protoreflect.Int64Kind || kind == protoreflect.Uint64Kind:
			fields[name], err = plainNumber(f, raw)
		case kind == protoreflect.MessageKind && !f.IsMap():
			fields[name], err = plainMessages(f, raw)
		}
		if err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func plainNumber(f protoreflect.FieldDescriptor, raw json.RawMessage) (json.RawMessage, error) {
	switch {
	case f.IsMap():
		var all map[string]json.Number
		if err := json.Unmarshal(raw, &all); err != nil {
			return nil, err
		}
		return json.Marshal(all)
	case f.IsList():
		var all []json.Number
		if err := json.Unmarshal(raw, &all); err != nil {
			return nil, err
		}
		return json.Marshal(all)
	}
	var text json.Number // reads "12" and 12
	err := json.Unmarshal(raw, &text)
	return json.RawMessage(text), err
}

func plainMessages(f protoreflect.FieldDescriptor, raw json.RawMessage) (json.RawMessage, error) {
	if f.Message().FullName().Parent() == "google.protobuf" {
		return raw, nil // times and free objects have JSON of their own
	}
	if !f.IsList() {
		var one map[string]json.RawMessage
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, err
		}
		one, err := plain(f.Message(), one)
		if err != nil {
			return nil, err
		}
		return json.Marshal(one)
	}
	var all []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	for i := range all {
		var err error
		if all[i], err = plain(f.Message(), all[i]); err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}
