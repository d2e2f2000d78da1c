package job

import "strings"

// table is values by name as one text, so that equal tables are equal values: lines of
// "name=value" by name, each name once. Names have no = and no line break, values no line
// break.
type table string

// cut cuts the first line off. The table must not be empty.
func (t table) cut() (name, value string, rest table) {
	line, after, _ := strings.Cut(string(t), "\n")
	name, value, _ = strings.Cut(line, "=")
	return name, value, table(after)
}

// get is the value of a name, empty if there is none.
func (t table) get(name string) string {
	for rest := t; rest != ""; {
		var other, value string
		if other, value, rest = rest.cut(); other == name {
			return value
		}
	}
	return ""
}

func (t table) len() int {
	if t == "" {
		return 0
	}
	return strings.Count(string(t), "\n") + 1
}

// set returns t with another value of a name; an empty one takes the name out.
func (t table) set(name, value string) table {
	var b strings.Builder
	add := func(name, value string) {
		if value == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(name)
		b.WriteByte('=')
		b.WriteString(value)
	}
	stands := false
	for rest := t; rest != ""; {
		var other, old string
		other, old, rest = rest.cut()
		if !stands && other >= name {
			add(name, value)
			stands = true
		}
		if other != name {
			add(other, old)
		}
	}
	if !stands {
		add(name, value)
	}
	return table(b.String())
}
