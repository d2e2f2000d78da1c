package blob

import (
	"fmt"
	"strings"
)

// MaxKey and MaxSegment bound a key and each of its segments, in bytes, so that a
// file system can hold every segment as a name even where it must be escaped.
const (
	MaxKey     = 512
	MaxSegment = 100
)

// CheckKey reports, as an ErrKey, why key is not one a Store accepts. Every
// implementation calls it first, so that a key refused by one is refused by all.
func CheckKey(key string) error {
	if key == "" {
		return fmt.Errorf("%w: it is empty; want segments such as jobs/4217/out", ErrKey)
	}
	if err := checkBytes(key); err != nil {
		return err
	}
	for seg := range strings.SplitSeq(key, "/") {
		switch {
		case seg == "":
			return fmt.Errorf("%w %q: a segment is empty; write single slashes between segments and none at the ends", ErrKey, key)
		case seg == "." || seg == "..":
			return fmt.Errorf("%w %q: segment %q is not allowed", ErrKey, key, seg)
		case len(seg) > MaxSegment:
			return fmt.Errorf("%w: a segment has %d bytes; at most %d are allowed", ErrKey, len(seg), MaxSegment)
		}
	}
	return nil
}

// CheckPrefix reports, as an ErrKey, why no key can begin with prefix. The empty
// prefix, with which every key begins, is fine.
func CheckPrefix(prefix string) error {
	last := prefix
	var head string
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		head, last = prefix[:i], prefix[i+1:]
		if err := CheckKey(head); err != nil {
			return err
		}
	}
	if len(last) > MaxSegment {
		return fmt.Errorf("%w: a segment has %d bytes; at most %d are allowed", ErrKey, len(last), MaxSegment)
	}
	return checkBytes(prefix)
}

func checkBytes(s string) error {
	if len(s) > MaxKey {
		return fmt.Errorf("%w: it has %d bytes; at most %d are allowed", ErrKey, len(s), MaxKey)
	}
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && strings.IndexByte("._=@-/", c) < 0 {
			return fmt.Errorf("%w %q: character %q is not allowed; use letters, digits and ._=@-", ErrKey, s, s[i:i+1])
		}
	}
	return nil
}
