package bars

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// How bars look, in columns.
const (
	fullWidth = 34
	// leastWidth is what is left of a bar before the text behind it is cut.
	leastWidth = 8
	// spare keeps what a terminal puts in itself, such as ^C, from wrapping a line.
	spare = 3
	// besides is what stands beside a bar of full width at most.
	besides = 46
	refresh = 150 * time.Millisecond
)

// Board is a terminal with a bar a row. It is for one goroutine.
type Board struct {
	bars *mpb.Progress
	rows map[string]*row
}

// row is a bar and the text behind it; the drawing goroutine reads text.
type row struct {
	bar  *mpb.Bar
	text atomic.Pointer[string]
}

// NewBoard begins to draw at the end of out.
func NewBoard(out io.Writer) *Board {
	return &Board{
		bars: mpb.New(mpb.WithOutput(out), mpb.WithWidth(width(out)), mpb.WithRefreshRate(refresh), mpb.WithAutoRefresh()),
		rows: map[string]*row{},
	}
}

// width is how long bars may be.
func width(out io.Writer) int {
	if f, ok := out.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			return min(fullWidth, max(columns-besides, leastWidth))
		}
	}
	return fullWidth
}

func style() mpb.BarFillerBuilder {
	return mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─")
}

// Set draws a row as it is now; a new name makes a new row below the others.
func (b *Board) Set(name, text string, over, total int64) {
	total = max(total, 1)
	r := b.rows[name]
	if r == nil {
		r = &row{}
		r.text.Store(&text)
		r.bar = b.bars.New(total, style(),
			mpb.PrependDecorators(decor.Name("  "+name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersNoUnit("%d/%d", decor.WCSyncWidth), decor.Any(r.behind)))
		b.rows[name] = r
	}
	r.text.Store(&text)
	r.bar.SetTotal(total, false)
	r.bar.SetCurrent(over)
	if over >= total {
		r.bar.SetTotal(total, true)
	}
}

// behind is the text behind a bar, cut to the columns that there are: a line that
// wraps would be drawn again and again.
func (r *row) behind(s decor.Statistics) string {
	text := []rune("  " + *r.text.Load())
	room := max(s.AvailableWidth-leastWidth-spare, 0)
	switch {
	case room == 0:
		return ""
	case len(text) > room:
		text = append(text[:room-1], '…')
	}
	return string(text)
}

// Write writes whole lines above the bars.
func (b *Board) Write(p []byte) (int, error) { return b.bars.Write(p) }

// Stop ends the drawing; what is drawn stays.
func (b *Board) Stop() {
	for _, r := range b.rows {
		if !r.bar.Completed() {
			r.bar.Abort(false)
		}
	}
	b.bars.Wait()
}
