package jobfile

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
)

// BenchmarkParse reads the smallest job: what every submit of its own costs.
func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{"yaml": "name: noop\nfunction: noop\n", "json": `{"name":"noop","function":"noop"}`} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse("", []byte(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadCanonical reads a recorded spec: what replay costs per spec.
func BenchmarkReadCanonical(b *testing.B) {
	result, err := Parse("", []byte("function: noop\n"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := canon.Read(result.Canonical); err != nil {
			b.Fatal(err)
		}
	}
}
