package job

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Conflict says what becomes of a job for whose concurrency key there is no slot.
type Conflict uint8

// The conflicts. Their words are stored.
const (
	// ConflictQueue: it waits until there is one.
	ConflictQueue Conflict = iota
	// ConflictCancel: as soon as it could start but for the key, what holds the slots is
	// cancelled, and so are older jobs that wait to do the same.
	ConflictCancel
	// ConflictRefuse: it is not taken while as many unfinished jobs name the key as there
	// are slots.
	ConflictRefuse
	conflicts
)

var conflictWords = [conflicts]string{"queue", "cancel", "refuse"}

// String is the word: queue, cancel or refuse.
func (c Conflict) String() string { return conflictWords[c] }

// ParseConflict reads the word of a conflict.
func ParseConflict(s string) (Conflict, error) {
	for i, word := range conflictWords {
		if s == word {
			return Conflict(i), nil
		}
	}
	return 0, fmt.Errorf("conflict %q: want one of %s", s, strings.Join(conflictWords[:], ", "))
}

// MarshalText writes the word.
func (c Conflict) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the word.
func (c *Conflict) UnmarshalText(b []byte) error {
	v, err := ParseConflict(string(b))
	*c = v
	return err
}

// Concurrency keeps jobs, or attempts of tasks, that share a key from running at the same
// time, or from starting too often. Of a job, the whole job holds a slot, from its first
// assignment to its end; of a task, each of its attempts holds one.
type Concurrency struct {
	// Key is the key's text, in which expressions may stand that are known at the submit.
	Key string `json:"key"`
	// Limit is how many slots there are, 0 for any number.
	Limit    int64    `json:"limit,omitempty"`
	Conflict Conflict `json:"conflict"`
	// Rate is how often one may start, nil for any.
	Rate *Rate `json:"rate,omitempty"`
}

// Limits of concurrency keys.
const (
	// MaxKey bounds a key's text in bytes.
	MaxKey = 256
	// MaxSlots bounds a key's limit.
	MaxSlots = 100_000
)

// CheckKey reports why a text can't be a concurrency key.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("want one line of text such as deploy")
	case len(key) > MaxKey:
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(key), MaxKey)
	case !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		return fmt.Errorf("has characters that can't be shown; want one line of text")
	}
	return nil
}
