package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MarshalText writes the moment as the job file does: a duration after the
// submit, or RFC 3339 in UTC.
func (m Moment) MarshalText() ([]byte, error) {
	if m.At.IsZero() {
		return m.In.MarshalText()
	}
	return m.At.UTC().AppendFormat(nil, time.RFC3339Nano), nil
}

// UnmarshalText reads a duration or an RFC 3339 time, cut to milliseconds.
func (m *Moment) UnmarshalText(b []byte) error {
	d, err := ParseDuration(string(b))
	if err == nil {
		*m = Moment{In: Duration(d)}
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil || at.Year() < 1970 {
		return fmt.Errorf("time %q: want a duration such as 2h30m, or a time with its zone such as 2026-12-01T04:00:00Z", b)
	}
	*m = Moment{At: at.UTC().Truncate(time.Millisecond)}
	return nil
}

// MarshalText writes never or the duration.
func (l Lost) MarshalText() ([]byte, error) {
	if l.Never {
		return []byte("never"), nil
	}
	return l.After.MarshalText()
}

// UnmarshalText reads never or a duration.
func (l *Lost) UnmarshalText(b []byte) error {
	if string(b) == "never" {
		*l = Lost{Never: true}
		return nil
	}
	*l = Lost{}
	return l.After.UnmarshalText(b)
}

// shareJSON is the long spelling of a Share.
type shareJSON struct {
	By  string `json:"by"`
	Key string `json:"key"`
}

// MarshalJSON writes what is looked at alone, where that is all there is to say.
func (s Share) MarshalJSON() ([]byte, error) {
	if s.Key == "" {
		return json.Marshal(s.By)
	}
	return json.Marshal(shareJSON(s))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Share) UnmarshalJSON(b []byte) error {
	*s = Share{}
	if len(b) > 0 && b[0] == '{' {
		return json.Unmarshal(b, (*shareJSON)(s))
	}
	return json.Unmarshal(b, &s.By)
}

// factor is a decimal number in JSON, kept in hundredths.
type factor int64

// ParseFactor reads a backoff factor such as 2 or 1.5 as hundredths, from 1 to 100.
func ParseFactor(s string) (int64, error) {
	n, err := scaled(s, 100)
	_, frac, _ := strings.Cut(s, ".")
	if err != nil || n < 100 || n > 10_000 || len(strings.TrimRight(frac, "0")) > 2 {
		return 0, fmt.Errorf("factor %q: want a number from 1 to 100 with at most two decimals, such as 2 or 1.5", s)
	}
	return n, nil
}

// FormatFactor writes hundredths as ParseFactor reads them.
func FormatFactor(hundredths int64) string {
	s := strconv.FormatInt(hundredths/100, 10)
	if frac := hundredths % 100; frac != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%02d", frac), "0")
	}
	return s
}

func (f factor) MarshalJSON() ([]byte, error) { return []byte(FormatFactor(int64(f))), nil }

func (f *factor) UnmarshalJSON(b []byte) error {
	n, err := ParseFactor(string(b))
	*f = factor(n)
	return err
}

// retryJSON has the fields of Retry in the order of their names. Nothing that has
// a default other than zero is left out, so that a later default changes no
// recorded spec.
type retryJSON struct {
	Delay        Duration `json:"delay"`
	ExitCodes    []int    `json:"exit_codes,omitempty"`
	Factor       factor   `json:"factor"`
	MaxAttempts  int      `json:"max_attempts"`
	MaxDelay     Duration `json:"max_delay"`
	MaxMemory    int64    `json:"max_memory,omitempty"`
	NotExitCodes []int    `json:"not_exit_codes,omitempty"`
	OnLost       int      `json:"on_lost"`
	OnMemory     *int     `json:"on_memory,omitempty"`
	OnTimeout    *int     `json:"on_timeout,omitempty"`
}

// MarshalJSON writes the words of the job file, everything but absent lists.
func (r Retry) MarshalJSON() ([]byte, error) {
	return json.Marshal(retryJSON{r.Delay, r.ExitCodes, factor(r.Factor), r.MaxAttempts, r.MaxDelay, r.MaxMemory, r.NotExitCodes, r.OnLost, r.OnMemory, r.OnTimeout})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Retry) UnmarshalJSON(b []byte) error {
	var in retryJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*r = Retry{MaxAttempts: in.MaxAttempts, OnTimeout: in.OnTimeout, OnLost: in.OnLost, ExitCodes: in.ExitCodes,
		OnMemory: in.OnMemory, MaxMemory: in.MaxMemory, NotExitCodes: in.NotExitCodes, Delay: in.Delay, Factor: int64(in.Factor), MaxDelay: in.MaxDelay}
	return nil
}

type maxFailsJSON struct {
	Count   *int64 `json:"count,omitempty"`
	Pending string `json:"pending"`
	Percent *int64 `json:"percent,omitempty"`
	Running string `json:"running"`
}

// MarshalJSON writes either count or percent, and both rules.
func (m MaxFails) MarshalJSON() ([]byte, error) {
	out := maxFailsJSON{Pending: m.Pending, Running: m.Running}
	if m.Percent > 0 {
		out.Percent = &m.Percent
	} else {
		out.Count = &m.Count
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *MaxFails) UnmarshalJSON(b []byte) error {
	var in maxFailsJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*m = MaxFails{Running: in.Running, Pending: in.Pending}
	if in.Count != nil {
		m.Count = *in.Count
	}
	if in.Percent != nil {
		m.Percent = *in.Percent
	}
	return nil
}

type arrayJSON struct {
	Blob     string          `json:"blob,omitempty"`
	Count    int64           `json:"count,omitempty"`
	Each     json.RawMessage `json:"each,omitempty"`
	Indexes  string          `json:"indexes,omitempty"`
	Throttle int64           `json:"throttle,omitempty"`
}

// MarshalJSON writes the words of the job file: indexes for ranges, each for items
// and expressions, or blob and count.
func (a Array) MarshalJSON() ([]byte, error) {
	out := arrayJSON{Blob: a.Blob, Count: a.Count, Throttle: a.Throttle}
	var err error
	switch {
	case a.From != "":
		out.Each, err = json.Marshal(a.From)
	case len(a.Ranges) > 0:
		out.Indexes = FormatRanges(a.Ranges)
	case a.Blob == "":
		out.Each, err = json.Marshal(append([]string{}, a.Items...))
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Array) UnmarshalJSON(b []byte) error {
	var in arrayJSON
	err := json.Unmarshal(b, &in)
	if err != nil {
		return err
	}
	*a = Array{Blob: in.Blob, Count: in.Count, Throttle: in.Throttle}
	switch {
	case in.Indexes != "":
		a.Ranges, _, err = ParseRanges(in.Indexes)
	case len(in.Each) > 0 && in.Each[0] == '"':
		err = json.Unmarshal(in.Each, &a.From)
	case len(in.Each) > 0:
		err = json.Unmarshal(in.Each, &a.Items)
	case in.Blob == "":
		err = errors.New("array: want indexes, each or blob")
	}
	return err
}

type fileJSON struct {
	Base64  []byte  `json:"base64,omitempty"`
	Content *string `json:"content,omitempty"`
	Mode    string  `json:"mode,omitempty"`
}

// MarshalJSON writes the words of the job file; the mode is octal text.
func (f File) MarshalJSON() ([]byte, error) {
	out := fileJSON{Base64: f.Base64}
	if len(f.Base64) == 0 {
		out.Content = &f.Content
	}
	if f.Mode != 0 {
		out.Mode = FormatMode(f.Mode)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *File) UnmarshalJSON(b []byte) error {
	var in fileJSON
	err := json.Unmarshal(b, &in)
	if err != nil {
		return err
	}
	*f = File{Base64: in.Base64}
	if in.Content != nil {
		f.Content = *in.Content
	}
	if in.Mode != "" {
		f.Mode, err = ParseMode(in.Mode)
	}
	return err
}

// ParseMode reads permission bits as octal text: 0644, 755.
func ParseMode(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return 0, fmt.Errorf("mode %q: want octal permission bits such as 0644 or 0755", s)
	}
	return uint32(n), nil
}

// FormatMode writes permission bits as four octal digits.
func FormatMode(mode uint32) string { return fmt.Sprintf("%04o", mode) }
