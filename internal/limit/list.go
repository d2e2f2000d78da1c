package limit

import "slices"

// List returns the keys of a namespace after a name, in order, at most so many. It looks at
// all keys.
func (x *Keys) List(namespace string, after Name, most int) []*Key {
	var of []*Key
	for _, k := range x.all {
		if k.name.Namespace == namespace && k.name.Compare(after) > 0 && (k.uses > 0 || len(k.owners) > 0) {
			of = append(of, k)
		}
	}
	return least(of, most, byName)
}

// Queue returns the first claims on a key, at most so many: those that cancel, then queue by
// queue those that look for a place, then those behind them.
func (k *Key) Queue(most int) []Claim {
	var out []Claim
	for _, l := range append([]*line{k.rivals}, k.lines...) {
		for _, w := range l.first {
			out = append(out, w.Claim)
		}
		if len(out) >= most {
			return out[:most]
		}
		for _, w := range least(l.rest.items, most-len(out), func(a, b *waiter) int {
			if a.before(&b.Claim) {
				return -1
			}
			return 1
		}) {
			out = append(out, w.Claim)
		}
	}
	return out
}

// least returns the first items in order, at most so many, without sorting all of them.
func least[T any](items []T, most int, order func(a, b T) int) []T {
	if most >= len(items) {
		out := slices.Clone(items)
		slices.SortFunc(out, order)
		return out
	}
	var out []T
	for _, item := range items {
		if len(out) == most && (most == 0 || order(item, out[most-1]) >= 0) {
			continue
		}
		at, _ := slices.BinarySearchFunc(out, item, order)
		out = slices.Insert(out, at, item)
		out = out[:min(len(out), most)]
	}
	return out
}
