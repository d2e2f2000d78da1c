package seal

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
)

func TestPack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 10_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	var buf []byte
	for _, payload := range [][]byte{nil, {0}, {1}, []byte("short"), noise, noise[:packs], []byte(strings.Repeat("an event ", 1000)), make([]byte, store.MaxBatch)} {
		buf = Pack(buf, payload)
		if len(buf) > len(payload)+1 {
			t.Errorf("%d bytes are packed into %d", len(payload), len(buf))
		}
		got, ok := Unpack(buf)
		if !ok || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes come back as %d (%t)", len(payload), len(got), ok)
		}
		if len(buf) > 1000 {
			buf[len(buf)/2] ^= 0x55
			buf = buf[:len(buf)-1]
			if got, ok := Unpack(buf); ok && bytes.Equal(got, payload) {
				t.Errorf("%d damaged bytes come back whole", len(payload))
			}
		}
	}
	for _, bad := range [][]byte{{2, 0}, {squeeze}, {squeeze, 0xff, 0xff, 0xff, 0xff, 0x7f}} {
		if got, ok := Unpack(bad); ok {
			t.Errorf("%x is unpacked as %x", bad, got)
		}
	}
}
