package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/auth"
)

// TestProofKey: what an attempt was given under holds after a restart; a damaged key is
// told rather than replaced.
func TestProofKey(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, proofKeyFile)
	first, err := proofKey(file)
	if err != nil || first == (auth.ProofKey{}) {
		t.Fatalf("the key is empty: %v", err)
	}
	if again, err := proofKey(file); err != nil || again != first {
		t.Errorf("the key is another the second time: %v", err)
	}
	if err := os.WriteFile(file, []byte("0123\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, ServerConfig{Dir: dir, Dev: true}, "proof.key", "64 hexadecimal digits", "remove it")
}

// TestWriteSecret replaces a file whole.
func TestWriteSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for _, text := range []string{"first", "second, longer", "3"} {
		if err := os.WriteFile(file+".new", []byte("left by a crash"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := writeSecret(file, text); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		info, statErr := os.Stat(file)
		if err != nil || statErr != nil || string(got) != text || info.Mode().Perm() != 0o600 {
			t.Errorf("%q, mode %o, %v, %v", got, info.Mode().Perm(), err, statErr)
		}
	}
	if err := writeSecret(filepath.Join(file, "below"), "x"); err == nil {
		t.Error("a secret was written below a file")
	}
}
