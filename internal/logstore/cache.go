package logstore

import "sync"

// cachedPages bounds the page cache: about 8 MiB.
const cachedPages = 256

// pageCache keeps the pages of packs that were read last, in two generations: when
// the new one is full it becomes the old one, which is forgotten. That is simpler
// than a list by age, and a miss costs little. The zero value is empty and ready.
type pageCache struct {
	mu       sync.Mutex
	new, old map[pageKey][]entry
}

type pageKey struct {
	pack string
	page int
}

func (c *pageCache) get(pack string, page int) []entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := pageKey{pack, page}
	if e, ok := c.new[k]; ok {
		return e
	}
	e, ok := c.old[k]
	if ok {
		c.keep(k, e)
	}
	return e
}

func (c *pageCache) put(pack string, page int, entries []entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(pageKey{pack, page}, entries)
}

func (c *pageCache) keep(k pageKey, e []entry) {
	if c.new == nil || len(c.new) >= cachedPages/2 {
		c.old, c.new = c.new, make(map[pageKey][]entry)
	}
	c.new[k] = e
}
