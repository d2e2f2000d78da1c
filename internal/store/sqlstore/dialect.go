package sqlstore

import (
	"context"
	"strconv"
	"strings"
)

// dialect is what differs between SQL engines. The statements themselves keep to
// what SQLite and PostgreSQL share.
type dialect struct {
	// key is the type of an integer primary key, blob that of bytes, text that of names. What
	// stands before a table's name is prefix.
	key, blob, text, prefix string
	// numbered parameters are $1, $2 …; else each is a question mark.
	numbered bool
	// lock ends a SELECT of the row that writers take turns by, where they are many.
	lock string
	// remote engines are a program of its own that several servers share: connections to
	// it break, one database holds both journal and tables, statements are not prepared,
	// rows travel in bulk, and text is stored as bytes. See package postgres.
	remote bool
	// beginRead starts a transaction that sees one snapshot, beginWrite one that
	// may write.
	beginRead, beginWrite string
	// stamp is the statement that leaves the schema's version where the engine's
	// own tools show it; "" for none.
	stamp func(version int) string
	// uncancelled engines lose more by watching a context during a statement than
	// they win: statements are short and local.
	uncancelled bool
	// classify returns the store's error that err stands for, or nil.
	classify func(err error) error
}

// schema fills in the words of a schema text.
func (d *dialect) schema(text string, n int64) string {
	return strings.NewReplacer(
		"{{key}}", d.key,
		"{{blob}}", d.blob,
		"{{text}}", d.text,
		"{{s}}", d.prefix,
		"{{n}}", strconv.FormatInt(n, 10),
	).Replace(text)
}

// words is s as a parameter.
func (d *dialect) words(s string) any {
	if d.remote {
		return []byte(s)
	}
	return s
}

// bind replaces the question marks of a statement by the engine's parameters.
// Statements hold no question mark in a literal.
func (d *dialect) bind(text string) string {
	if !d.numbered {
		return text
	}
	var b strings.Builder
	n := 0
	for _, piece := range strings.SplitAfter(text, "?") {
		if before, found := strings.CutSuffix(piece, "?"); found {
			n++
			b.WriteString(before)
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			continue
		}
		b.WriteString(piece)
	}
	return b.String()
}

// context returns what statements run with.
func (d *dialect) context(ctx context.Context) context.Context {
	if d.uncancelled {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// rowsOf returns n groups of cols parameters each: "(?,?),(?,?)".
func rowsOf(n, cols int) string {
	row := "(" + strings.Repeat("?,", cols-1) + "?)"
	return strings.Repeat(row+",", n-1) + row
}
