package wire

import (
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// jsonCodec spells JSON fields as job files and documents do, in snake_case. Names
// in camelCase are understood too.
type jsonCodec struct{ name string }

// JSONCodecs replace Connect's own JSON codecs, for handlers and clients alike.
func JSONCodecs() []connect.Codec {
	return []connect.Codec{jsonCodec{"json"}, jsonCodec{"json; charset=utf-8"}}
}

// Name is the codec's name in content types.
func (c jsonCodec) Name() string { return c.name }

// Marshal writes a message.
func (c jsonCodec) Marshal(m any) ([]byte, error) {
	msg, ok := m.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("wire: %T is not a message", m)
	}
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(msg)
}

// Unmarshal reads a message; an unknown field is an error that names it.
func (c jsonCodec) Unmarshal(b []byte, m any) error {
	msg, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("wire: %T is not a message", m)
	}
	if len(b) == 0 {
		b = []byte("{}")
	}
	return protojson.Unmarshal(b, msg)
}
