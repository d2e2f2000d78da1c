package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// ProofSize is the size of a proof in bytes.
const ProofSize = 16

// ProofKey is a server's secret that proofs are made with.
type ProofKey [32]byte

// String hides the secret.
func (ProofKey) String() string { return "proof key" }

// GoString hides the secret from %#v too.
func (k ProofKey) GoString() string { return k.String() }

// Assigned names an attempt and the element that it is of.
type Assigned struct {
	Fence, Job uint64
	// Task is the task's place in the spec, Position the element's.
	Task     uint32
	Position int64
	Number   int
}

// Prover makes and checks proofs that an attempt was given to whoever shows them: tokens
// say that somebody is a worker, and not which. It is not safe for concurrent use.
type Prover struct {
	mac hash.Hash
	b   []byte
}

// NewProver returns a prover with a key.
func NewProver(key ProofKey) *Prover { return &Prover{mac: hmac.New(sha256.New, key[:])} }

// Proof is what the worker that is given an attempt is given with it.
func (p *Prover) Proof(a Assigned) (proof [ProofSize]byte) {
	b := binary.BigEndian.AppendUint64(p.b[:0], a.Fence)
	b = binary.BigEndian.AppendUint64(b, a.Job)
	b = binary.BigEndian.AppendUint32(b, a.Task)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Position))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Number))
	p.mac.Reset()
	p.mac.Write(b)
	p.b = p.mac.Sum(b[:0])
	copy(proof[:], p.b)
	return proof
}

// Proves reports whether a proof is an attempt's, in a time that does not tell how much
// of it is.
func (p *Prover) Proves(a Assigned, proof []byte) bool {
	want := p.Proof(a)
	return hmac.Equal(want[:], proof)
}
