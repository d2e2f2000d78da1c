package tree

import (
	"strings"
	"unicode/utf8"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// maxShown is how many characters of a value a message repeats.
const maxShown = 60

// Excerpt cuts a text to what a message should repeat of it.
func Excerpt(text string) string {
	count := 0
	for i := range text {
		if count++; count > maxShown {
			return text[:i] + "…"
		}
	}
	return text
}

// IsNumber reports whether s is a number as JSON spells them.
func IsNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() bool {
		n := 0
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	zero := strings.HasPrefix(s, "0")
	before := len(s)
	if !digits() || zero && before-len(s) > 1 {
		return false
	}
	if strings.HasPrefix(s, ".") {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

// AppendString writes a JSON string. What must be escaped is, and nothing else;
// bytes that are not UTF-8 become U+FFFD, as every JSON reader would have it.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}

// Suggest returns a hint that names the known word nearest to a mistaken one, or
// lists what is known if none is near.
func Suggest(word string, known []string) string {
	best, distance := "", 1+max(1, len(word)/3)
	for _, k := range known {
		if d := editDistance(strings.ToLower(word), k, distance); d < distance {
			best, distance = k, d
		}
	}
	for i := 0; i < len(known) && best == "" && len(word) > 3; i++ {
		if strings.Contains(known[i], word) {
			best = known[i]
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	const most = 40
	if len(known) == 0 {
		return "there are none"
	}
	if len(known) > most {
		return "known are " + strings.Join(known[:most], ", ") + " and others"
	}
	return "known are " + strings.Join(known, ", ")
}

// editDistance counts insertions, deletions, changes and swaps of neighbours
// (optimal string alignment) that turn a into b; anything from limit up is limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > job.MaxName {
		return limit
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return min(last[len(b)], limit)
}
