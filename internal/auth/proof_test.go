package auth

import (
	"fmt"
	"strings"
	"testing"
)

// TestProofs: a proof is of one attempt under one key; no part of either can be changed.
func TestProofs(t *testing.T) {
	key := ProofKey{1, 2, 3}
	p := NewProver(key)
	a := Assigned{Fence: 7, Job: 4217, Task: 1, Position: 3, Number: 2}
	proof := p.Proof(a)
	if !p.Proves(a, proof[:]) || !NewProver(key).Proves(a, proof[:]) {
		t.Error("a proof does not prove what it was made for")
	}
	for _, other := range []Assigned{
		{8, 4217, 1, 3, 2}, {7, 4218, 1, 3, 2}, {7, 4217, 2, 3, 2}, {7, 4217, 1, 4, 2}, {7, 4217, 1, 3, 1}, {},
	} {
		if p.Proves(other, proof[:]) {
			t.Errorf("the proof of %+v proves %+v", a, other)
		}
	}
	if NewProver(ProofKey{1, 2, 4}).Proves(a, proof[:]) {
		t.Error("a proof holds under another key")
	}
	for _, cut := range [][]byte{nil, {}, proof[:15], append(proof[:], 0)} {
		if p.Proves(a, cut) {
			t.Errorf("%d bytes of a proof prove it", len(cut))
		}
	}
	if text := fmt.Sprintf("%v %+v %#v %s", key, key, key, key); strings.Contains(text, "1") {
		t.Errorf("the key shows itself: %s", text)
	}
}

func BenchmarkProof(b *testing.B) {
	p := NewProver(ProofKey{1})
	b.ReportAllocs()
	for i := range uint64(b.N) {
		p.Proof(Assigned{Fence: i, Job: i})
	}
}
