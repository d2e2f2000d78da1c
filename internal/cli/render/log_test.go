package render

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// TestLogLines: lines of attempts that run side by side do not mix.
func TestLogLines(t *testing.T) {
	type piece struct{ ref, stream, data string }
	tests := []struct {
		name     string
		style    LogStyle
		pieces   []piece
		out, err string
	}{
		{"one attempt, a line in pieces", LogStyle{}, []piece{{"1.a@1", "stdout", "10 %"}, {"1.a@1", "stdout", " 20 %\n"}}, "10 % 20 %\n", ""},
		{"two attempts", LogStyle{}, []piece{{"1.a@1", "stdout", "a"}, {"1.b@1", "stdout", "b\n"}, {"1.a@1", "stdout", "aa\n"}}, "a\nb\naa\n", ""},
		{"two streams", LogStyle{}, []piece{{"1.a@1", "stdout", "a"}, {"1.b@1", "stderr", "b\n"}, {"1.a@1", "stdout", "aa\n"}}, "aaa\n", "b\n"},
		{"names", LogStyle{Names: true}, []piece{{"1.a@1", "stdout", "x\ny"}, {"1.a@1", "stdout", "z\n"}, {"1.b@1", "stdout", "u"}, {"1.a@1", "stdout", "v\n"}},
			"1.a@1 x\n1.a@1 yz\n1.b@1 u\n1.a@1 v\n", ""},
		{"marks", LogStyle{}, []piece{{"1.a@1", "gap", "17"}, {"1.a@1", "note", "killed\n"}}, "", "[reeve: 17 bytes were dropped here]\n[killed]\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			w := NewLog(&out, &errs, test.style)
			for _, p := range test.pieces {
				if err := w.Piece(&client.LogPiece{Ref: p.ref, Stream: p.stream, Data: []byte(p.data)}); err != nil {
					t.Fatal(err)
				}
			}
			if out.String() != test.out || errs.String() != test.err {
				t.Errorf("out %q, err %q; want %q, %q", out.String(), errs.String(), test.out, test.err)
			}
		})
	}
}

// TestLogLinesForPrograms: every piece is a line of JSON, whatever is in it.
func TestLogLinesForPrograms(t *testing.T) {
	var out bytes.Buffer
	w := NewLogLines(&out)
	at := timestamppb.New(time.Date(2026, 1, 2, 15, 4, 5, 6e6, time.UTC))
	for _, p := range []*client.LogPiece{
		{Ref: "1.a@1", Stream: "stdout", Time: at, Data: []byte("<10 %>\n20 %")},
		{Ref: "1.a.3@2", Stream: "stderr", Time: at, Data: []byte{0xff, 0}},
		{Ref: "1.a@1", Stream: "gap", Time: at, Data: []byte("17")},
	} {
		if err := w.Piece(p); err != nil {
			t.Fatal(err)
		}
	}
	const want = `{"ref":"1.a@1","stream":"stdout","time":"2026-01-02T15:04:05.006Z","text":"<10 %>\n20 %"}
{"ref":"1.a.3@2","stream":"stderr","time":"2026-01-02T15:04:05.006Z","base64":"/wA="}
{"ref":"1.a@1","stream":"gap","time":"2026-01-02T15:04:05.006Z","text":"17"}
`
	if out.String() != want {
		t.Errorf("got %s, want %s", out.String(), want)
	}
}
