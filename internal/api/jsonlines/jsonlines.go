// Package jsonlines lets plain HTTP clients read streams: a JSON message a line.
package jsonlines

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"

	"connectrpc.com/connect"
)

// Handler lets plain HTTP clients read streams of next: a call of a streaming method with one
// JSON message is answered with a JSON message a line. An error that comes before
// the first line is the answer, as it is for other calls; one that comes later is
// the last line, {"error": …}. A message has at most that many bytes.
func Handler(next http.Handler, errs *connect.ErrorWriter, streams map[string]bool, most int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/json" || r.Method != http.MethodPost || !streams[r.URL.Path] || r.Header.Get("Content-Encoding") != "" {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
		if err != nil {
			_ = errs.Write(w, r, tooLarge(err, most)) // nobody is left to tell
			return
		}
		framed := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body)))
		q := r.Clone(r.Context())
		q.Header.Set("Content-Type", "application/connect+json")
		q.Header.Del("Content-Length")
		q.ContentLength = int64(len(framed) + len(body))
		q.Body = io.NopCloser(io.MultiReader(bytes.NewReader(framed), bytes.NewReader(body)))
		lw := &lineWriter{ResponseWriter: w, request: r, errors: errs}
		next.ServeHTTP(lw, q)
	})
}

func tooLarge(err error, most int64) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("the message is larger than %d MiB", most>>20))
	}
	return connect.NewError(connect.CodeInvalidArgument, errors.New("the message did not arrive whole"))
}

// lineWriter turns the frames that a stream's handler writes into lines.
type lineWriter struct {
	http.ResponseWriter
	request *http.Request
	errors  *connect.ErrorWriter
	begun   bool
	frame   []byte // what has come of one
}

// Unwrap is for http.ResponseController.
func (w *lineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader waits for the first frame, which may be an error.
func (w *lineWriter) WriteHeader(status int) {
	if status != http.StatusOK {
		w.begun = true
		w.ResponseWriter.WriteHeader(status)
	}
}

// Flush sends the lines that are whole.
func (w *lineWriter) Flush() {
	if w.begun {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // the next write tells
	}
}

// Write takes bytes of frames: a byte of flags, four of length, and the message.
func (w *lineWriter) Write(b []byte) (int, error) {
	const head, last = 5, 2
	w.frame = append(w.frame, b...)
	for len(w.frame) >= head {
		end := head + int(binary.BigEndian.Uint32(w.frame[1:head]))
		if len(w.frame) < end {
			break
		}
		message := w.frame[head:end]
		var err error
		if w.frame[0]&last != 0 {
			err = w.end(message)
		} else {
			err = w.line(message)
		}
		if err != nil {
			return 0, err
		}
		w.frame = append(w.frame[:0], w.frame[end:]...)
	}
	return len(b), nil
}

func (w *lineWriter) line(message []byte) error {
	w.begin()
	_, err := w.ResponseWriter.Write(append(slices.Clip(message), '\n'))
	return err
}

func (w *lineWriter) begin() {
	if !w.begun {
		w.begun = true
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.ResponseWriter.WriteHeader(http.StatusOK)
	}
}

// end takes the frame that ends every stream.
func (w *lineWriter) end(message []byte) error {
	var end struct {
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(message, &end); err != nil {
		return err
	}
	if end.Error == nil {
		w.begin()
		return nil
	}
	if w.begun {
		return w.line(append(append([]byte(`{"error":`), end.Error...), '}'))
	}
	w.begun = true
	var failure struct {
		Code    connect.Code `json:"code"`
		Message string       `json:"message"`
	}
	if err := json.Unmarshal(end.Error, &failure); err != nil {
		return err
	}
	return w.errors.Write(w.ResponseWriter, w.request, connect.NewError(failure.Code, errors.New(failure.Message)))
}
