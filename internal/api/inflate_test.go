package api

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

// bomb is a message of n blanks, compressed.
func bomb(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.Copy(w, io.LimitReader(blanks{}, int64(n))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type blanks struct{}

func (blanks) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// TestInflater decompresses what is allowed, and of what is not, one byte more.
func TestInflater(t *testing.T) {
	f := newInflater()
	for _, n := range []int{0, 5, MaxMessage, 4 * MaxMessage, 7} { // one after the other, as in a pool
		if err := f.Reset(bytes.NewReader(bomb(t, n))); err != nil {
			t.Fatal(err)
		}
		got, err := io.Copy(io.Discard, f)
		if want := int64(min(n, MaxMessage+1)); err != nil || got != want {
			t.Errorf("of %d bytes %d, %v; want %d", n, got, err, want)
		}
	}
}

// TestCompressedMessages: a call may be compressed, and is not decompressed further
// than it may be long.
func TestCompressedMessages(t *testing.T) {
	r := newRig(t)
	for n, want := range map[int]string{10: `{"code":"not_found"`, 4 * MaxMessage: "message size 16777217 is larger than"} {
		body := bomb(t, n)
		if n == 10 {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			if _, err := io.WriteString(w, `{"id":"99"}`); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			body = b.Bytes()
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/reeve.v1.JobService/Get", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Content-Encoding", "gzip")
		req.Header.Set("Authorization", "Bearer "+r.admin)
		resp, err := r.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if resp.Body.Close(); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%d bytes: %d %s, %v; want %s", n, resp.StatusCode, text, err, want)
		}
	}
}
