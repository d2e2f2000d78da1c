package job

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxIndex bounds an array's indexes, so that they fit every form they are stored
// in.
const MaxIndex = 1<<31 - 1

// maxRanges bounds the parts of one array, whatever its number of elements.
const maxRanges = 100_000

// ParseRanges reads array indexes as Slurm writes them: 0-31, 1,3,5, 1-7:2, with
// an optional %4 at the end for the throttle (0 if absent). The result rises, its
// parts do not overlap, and one set of parts has one form.
func ParseRanges(s string) (ranges []Range, throttle int64, err error) {
	fail := func(why string) error {
		if len(s) > 60 {
			s = s[:60] + "…"
		}
		return fmt.Errorf("array %q: %s; want indexes such as 0-31, 1,3,5 or 1-7:2, and %%4 at the end to run at most 4 at a time", s, why)
	}
	list, limit, limited := strings.Cut(s, "%")
	if limited {
		if throttle, err = parseIndex(limit); err != nil || throttle == 0 {
			return nil, 0, fail("the throttle after % is a whole number from 1")
		}
	}
	if strings.Count(list, ",") >= maxRanges {
		return nil, 0, fail(fmt.Sprintf("it has more than %d parts", maxRanges))
	}
	var total int64
	for part := range strings.SplitSeq(list, ",") {
		r, err := parseRange(strings.TrimSpace(part))
		if err != nil {
			return nil, 0, fail(err.Error())
		}
		if total += r.Len(); total > MaxElements {
			return nil, 0, fail(fmt.Sprintf("it has more than %d elements", MaxElements))
		}
		ranges = append(ranges, r)
	}
	slices.SortFunc(ranges, func(a, b Range) int { return int(a.First - b.First) })
	for i := 1; i < len(ranges); i++ {
		if ranges[i].First <= ranges[i-1].Last {
			return nil, 0, fail(fmt.Sprintf("%s and %s overlap", formatRange(ranges[i-1]), formatRange(ranges[i])))
		}
	}
	return joinRanges(ranges), throttle, nil
}

func parseIndex(s string) (int64, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, fmt.Errorf("%q is not an index", s)
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > MaxIndex {
		return 0, fmt.Errorf("%q is not an index from 0 to %d", s, int64(MaxIndex))
	}
	return n, nil
}

func parseRange(s string) (Range, error) {
	span, stepText, stepped := strings.Cut(s, ":")
	firstText, lastText, ranged := strings.Cut(span, "-")
	first, err := parseIndex(firstText)
	if err != nil {
		return Range{}, err
	}
	r := Range{First: first, Last: first, Step: 1}
	if !ranged {
		if stepped {
			return Range{}, fmt.Errorf("%q has a step but no end", s)
		}
		return r, nil
	}
	if r.Last, err = parseIndex(lastText); err != nil {
		return Range{}, err
	}
	if r.Last < r.First {
		return Range{}, fmt.Errorf("%q ends before it begins", s)
	}
	if stepped {
		if r.Step, err = parseIndex(stepText); err != nil {
			return Range{}, err
		}
		if r.Step == 0 {
			return Range{}, errors.New("a step is at least 1")
		}
	}
	r.Last = r.First + (r.Last-r.First)/r.Step*r.Step
	if r.First == r.Last {
		r.Step = 1
	}
	return r, nil
}

// joinRanges puts neighbours with step 1 together: 1,2,3 becomes 1-3.
func joinRanges(ranges []Range) []Range {
	out := ranges[:1]
	for _, r := range ranges[1:] {
		if last := &out[len(out)-1]; last.Step == 1 && r.Step == 1 && r.First == last.Last+1 {
			last.Last = r.Last
			continue
		}
		out = append(out, r)
	}
	return out
}

// FormatRanges writes ranges as ParseRanges reads them, without a throttle.
func FormatRanges(ranges []Range) string {
	var b strings.Builder
	for i, r := range ranges {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(formatRange(r))
	}
	return b.String()
}

func formatRange(r Range) string {
	s := strconv.FormatInt(r.First, 10)
	if r.First == r.Last {
		return s
	}
	s += "-" + strconv.FormatInt(r.Last, 10)
	if r.Step != 1 {
		s += ":" + strconv.FormatInt(r.Step, 10)
	}
	return s
}
