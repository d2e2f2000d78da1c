// Package intake reads a submit as it is asked for: it is checked, and becomes a command.
package intake

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// DigestMark stands between the key under which items are stored and their digest.
const DigestMark = "."

func invalid(format string, args ...any) error {
	return &job.Error{Code: job.Invalid, Message: fmt.Sprintf(format, args...)}
}

// Read makes the command of a submit by somebody, whose right to the namespace is not looked at.
func Read(m *reevev1.SubmitRequest, by string) (c core.Submit, err error) {
	parsed, err := parse(m)
	if err != nil {
		return c, err
	}
	namespace := parsed.Namespace
	switch {
	case m.GetNamespace() == "" && namespace == "":
		namespace = core.DefaultName
	case namespace == "":
		namespace = m.GetNamespace()
	case m.GetNamespace() != "" && m.GetNamespace() != namespace:
		return c, invalid("the job file says namespace %s, the request %s; leave one out", namespace, m.GetNamespace())
	}
	c = core.Submit{
		Namespace: namespace, Spec: parsed.Spec, Hash: parsed.Hash, Canonical: parsed.Canonical, By: by, Held: m.GetHold(),
	}
	items := m.GetItems()
	if len(items) > core.MaxItems {
		return c, invalid("%d items in one submit; at most %d are allowed: send several", len(items), core.MaxItems)
	}
	if len(items) == 0 {
		items = []*reevev1.SubmitItem{{}}
	}
	for i, item := range items {
		made, err := makeItem(parsed, item, m.GetHold())
		if err != nil && len(items) > 1 {
			return c, invalid("item %d: %s", i, err)
		}
		if err != nil {
			return c, invalid("%s", err)
		}
		c.Items = append(c.Items, made)
	}
	return c, nil
}

func parse(m *reevev1.SubmitRequest) (*jobfile.Result, error) {
	var text []byte
	switch {
	case m.GetFile() != "":
		text = []byte(m.GetFile())
	case m.GetSpec() != nil:
		var err error
		if text, err = m.GetSpec().MarshalJSON(); err != nil {
			return nil, invalid("spec: %s", err)
		}
	default:
		return nil, invalid("the request has neither file nor spec; send a job file's text as file, or the job as a JSON object as spec")
	}
	parsed, err := jobfile.Parse(m.GetFileName(), text)
	if err != nil {
		return nil, invalid("%s", err)
	}
	return parsed, nil
}

func makeItem(parsed *jobfile.Result, m *reevev1.SubmitItem, hold bool) (core.Item, error) {
	given, err := wire.Values(m.GetParams())
	if err != nil {
		return core.Item{}, err
	}
	bound, err := jobfile.BindParams(parsed.Spec, given)
	if err != nil {
		return core.Item{}, err
	}
	if len(m.GetPayload()) > job.MaxPayload {
		return core.Item{}, invalid("its payload has %d bytes; at most %d are allowed", len(m.GetPayload()), job.MaxPayload)
	}
	item := core.Item{Params: bound, Payload: m.GetPayload(), Key: m.GetIdempotencyKey()}
	if item.Key == "" {
		item.Key = parsed.Spec.IdempotencyKey
	}
	if err := CheckKey(item.Key); err != nil {
		return core.Item{}, err
	}
	_, _ = rand.Read(item.UID[:]) // never fails: crypto/rand ends the program instead
	content, err := contentHash(parsed)
	if err != nil {
		return core.Item{}, err
	}
	item.Body = BodyHash(content, bound, item.Payload, Flag(hold))
	return item, nil
}

// contentHash tells different specs under one key apart. Items that were stored
// twice are the same items.
func contentHash(parsed *jobfile.Result) ([]byte, error) {
	spec, stored := *parsed.Spec, false
	for i := range spec.Tasks {
		a := spec.Tasks[i].Array
		if a == nil {
			continue
		}
		if _, digest, ok := strings.Cut(a.Blob, DigestMark); ok {
			if !stored {
				spec.Tasks, stored = slices.Clone(spec.Tasks), true
			}
			same := *a
			same.Blob = digest
			spec.Tasks[i].Array = &same
		}
	}
	if !stored {
		return parsed.Hash[:], nil
	}
	_, hash, err := canon.Write(&spec)
	return hash[:], err
}

// MaxKey bounds an idempotency key in bytes.
const MaxKey = 256

// CheckKey reports what is wrong with an idempotency key.
func CheckKey(key string) error {
	if len(key) > MaxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return invalid("idempotency key %.40q: want at most %d bytes without control characters", key, MaxKey)
	}
	return nil
}

// BodyHash tells different bodies under one key apart.
func BodyHash(parts ...[]byte) uint64 {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// Flag is a part of a body that says yes or no.
func Flag(set bool) []byte {
	if set {
		return []byte{1}
	}
	return nil
}
