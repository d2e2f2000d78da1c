package pile

// table finds the record of a group. Most jobs have one task, and ids rise
// without holes: their groups stand in pages by job, of four bytes each, the others in
// a map.
type table struct {
	pages  map[uint64]*page
	others map[key]uint32
	n      int
}

// pageLen is how many jobs share a page: few enough that one that waits for long does
// not hold much room for those that have gone.
const pageLen = 64

// page has one more than the record's id, 0 for none.
type page struct {
	at [pageLen]uint32
	n  int
}

// paged reports whether a group stands in a page: it is its job's first part.
func (k key) paged() bool { return k.task == 0 }

func (t *table) get(k key) (id uint32, ok bool) {
	if !k.paged() {
		id, ok = t.others[k]
		return id, ok
	}
	p := t.pages[k.job/pageLen]
	if p == nil {
		return 0, false
	}
	at := p.at[k.job%pageLen]
	return at - 1, at > 0
}

// add adds a group that is not there.
func (t *table) add(k key, id uint32) {
	t.n++
	if !k.paged() {
		if t.others == nil {
			t.others = map[key]uint32{}
		}
		t.others[k] = id
		return
	}
	p := t.pages[k.job/pageLen]
	if p == nil {
		p = &page{}
		if t.pages == nil {
			t.pages = map[uint64]*page{}
		}
		t.pages[k.job/pageLen] = p
	}
	p.at[k.job%pageLen] = id + 1
	p.n++
}

// drop removes a group that is there.
func (t *table) drop(k key) {
	t.n--
	if !k.paged() {
		delete(t.others, k)
		return
	}
	p := t.pages[k.job/pageLen]
	p.at[k.job%pageLen] = 0
	if p.n--; p.n == 0 {
		delete(t.pages, k.job/pageLen)
	}
}
