package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// LogStyle is what is put before lines of attempts' output.
type LogStyle struct{ Times, Names bool }

// Log writes what attempts wrote. It is for one goroutine.
type Log struct {
	out, err io.Writer
	style    LogStyle
	// open is the attempt whose line has not ended yet, if one has not.
	open map[io.Writer]string
}

// NewLog returns a log that goes to out, and what was not standard output to err.
func NewLog(out, err io.Writer, style LogStyle) *Log {
	return &Log{out: out, err: err, style: style, open: map[io.Writer]string{}}
}

// Piece writes a piece of an attempt's output. Lines of attempts that run side by
// side do not mix: one that is not finished when another attempt writes is ended.
func (w *Log) Piece(p *client.LogPiece) error {
	to, data := w.out, p.GetData()
	switch p.GetStream() {
	case "stderr":
		to = w.err
	case "gap":
		to, data = w.err, fmt.Appendf(nil, "[reeve: %s bytes were dropped here]\n", data)
	case "note":
		to, data = w.err, fmt.Appendf(nil, "[%s]\n", bytes.TrimSuffix(data, []byte("\n")))
	}
	if open := w.open[to]; open != "" && open != p.GetRef() {
		data = append([]byte("\n"), w.styled(p, data, true)...)
	} else {
		data = w.styled(p, data, open == "")
	}
	w.open[to] = ""
	if !bytes.HasSuffix(data, []byte("\n")) {
		w.open[to] = p.GetRef()
	}
	_, err := to.Write(data)
	return err
}

// styled puts what the style says before each line that begins in data.
func (w *Log) styled(p *client.LogPiece, data []byte, begins bool) []byte {
	var prefix []byte
	if w.style.Times {
		prefix = append(prefix, p.GetTime().AsTime().Local().Format("2006-01-02 15:04:05.000 ")...)
	}
	if w.style.Names {
		prefix = append(append(prefix, p.GetRef()...), ' ')
	}
	if len(prefix) == 0 {
		return data
	}
	var out []byte
	for line := range bytes.Lines(data) {
		if begins {
			out = append(out, prefix...)
		}
		out, begins = append(out, line...), true
	}
	return out
}

// LogLines writes what attempts wrote for programs: a JSON object on each line.
type LogLines struct{ out *json.Encoder }

// NewLogLines returns lines that go to out.
func NewLogLines(out io.Writer) *LogLines {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return &LogLines{enc}
}

// Piece writes a piece of an attempt's output: whose, of which stream, when, and its text,
// or its bytes where they are no UTF-8. A piece may end in the middle of a line.
func (w *LogLines) Piece(p *client.LogPiece) error {
	line := struct {
		Ref    string `json:"ref"`
		Stream string `json:"stream"`
		Time   string `json:"time"`
		Text   string `json:"text,omitempty"`
		Base64 []byte `json:"base64,omitempty"`
	}{Ref: p.GetRef(), Stream: p.GetStream(), Time: p.GetTime().AsTime().Format(time.RFC3339Nano)}
	if utf8.Valid(p.GetData()) {
		line.Text = string(p.GetData())
	} else {
		line.Base64 = p.GetData()
	}
	return w.out.Encode(line)
}
