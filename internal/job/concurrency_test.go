package job

import (
	"strings"
	"testing"
)

func TestConflicts(t *testing.T) {
	for c := range conflicts {
		b, err := c.MarshalText()
		var got Conflict
		if err == nil {
			err = got.UnmarshalText(b)
		}
		if err != nil || got != c {
			t.Errorf("%s is read as %s, %v", b, got, err)
		}
	}
	if _, err := ParseConflict("kill"); err == nil || err.Error() != `conflict "kill": want one of queue, cancel, refuse` {
		t.Errorf("conflict kill: %v", err)
	}
}

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"deploy", "customer 42 / é", strings.Repeat("x", MaxKey), " "} {
		if err := CheckKey(key); err != nil {
			t.Errorf("key %q: %v", key, err)
		}
	}
	for _, key := range []string{"", "a\nb", "\x00", "a\x7f", strings.Repeat("x", MaxKey+1), "\xff", "a\u0085"} {
		if err := CheckKey(key); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("key %q: %v", key, err)
		}
	}
}
