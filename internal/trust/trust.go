// Package trust makes the wire private and the server known: it makes and renews
// the server's own CA and certificate, takes the user's own instead, and gives the
// TLS configurations of both ends.
//
// Own files, in one directory, readable by their owner only:
//
//	ca.pem      the CA's certificate and key; workers pin it, so it is never replaced
//	ca.crt      the CA's certificate alone, to hand out (curl --cacert)
//	server.pem  the server's certificate, the CA's, and the server's key
//
// A certificate and its key share a file, so that one rename replaces both.
package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Names of the files and lifetimes of the certificates.
const (
	CAFile     = "ca.crt"
	caPEM      = "ca.pem"
	serverPEM  = "server.pem"
	caYears    = 10
	leafLife   = 365 * 24 * time.Hour
	clockSlack = time.Hour // a worker's clock may be behind
)

// Fingerprint is the SHA-256 hash of a certificate in DER form.
type Fingerprint = [sha256.Size]byte

// pair is a certificate with its chain and key, as it stands in a file.
type pair struct {
	cert tls.Certificate
	leaf *x509.Certificate
}

// loadPair reads a file that holds certificates and a key.
func loadPair(certFile, keyFile string) (pair, error) {
	certBytes, err := os.ReadFile(certFile)
	if err != nil {
		return pair{}, err
	}
	keyBytes := certBytes
	if keyFile != certFile {
		if keyBytes, err = os.ReadFile(keyFile); err != nil {
			return pair{}, err
		}
	}
	cert, err := tls.X509KeyPair(certBytes, keyBytes)
	if err != nil {
		return pair{}, errors.New(strings.TrimPrefix(err.Error(), "tls: "))
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return pair{}, err
	}
	cert.Leaf = leaf
	return pair{cert, leaf}, nil
}

// ensureCA loads the CA in dir, or makes it if there is none. A damaged one is an
// error, never replaced: every worker that joined pins it.
func ensureCA(dir string, now time.Time) (pair, error) {
	file := filepath.Join(dir, caPEM)
	ca, err := loadOwn(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeCA(dir, now); err == nil {
			ca, err = loadOwn(file)
		}
	}
	if err != nil {
		return pair{}, fmt.Errorf("CA in %s: %w; restore the file, or delete it and let every worker join again", file, err)
	}
	if !ca.leaf.IsCA {
		return pair{}, fmt.Errorf("CA in %s: the certificate of %s is not a CA's; restore the file", file, ca.leaf.Subject)
	}
	if now.After(ca.leaf.NotAfter) {
		return pair{}, fmt.Errorf("CA in %s: it expired on %s; delete it and let every worker join again", file, day(ca.leaf.NotAfter))
	}
	public := encodePEM("CERTIFICATE", ca.leaf.Raw)
	crt := filepath.Join(dir, CAFile)
	if old, err := os.ReadFile(crt); err != nil || !bytes.Equal(old, public) {
		if err := writeFile(crt, public); err != nil {
			return pair{}, err
		}
	}
	return ca, nil
}

// CA returns the own CA of a server's directory with its key, PEM; fs.ErrNotExist says that it
// has none.
func CA(dir string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, caPEM)) }

// PutCA puts a CA with its key, PEM, into a server's directory, which is made if need be.
func PutCA(dir string, ca []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, caPEM), ca)
}

// shareCA puts the CA that share returns in the place of the one in dir.
func shareCA(dir string, share func([]byte) ([]byte, error), now time.Time) (pair, error) {
	file := filepath.Join(dir, caPEM)
	own, err := os.ReadFile(file)
	if err != nil {
		return pair{}, fmt.Errorf("CA: %w", err)
	}
	common, err := share(own)
	if err != nil {
		return pair{}, fmt.Errorf("the servers' common CA: %w", err)
	}
	if !bytes.Equal(own, common) {
		if err := writeFile(file, common); err != nil {
			return pair{}, fmt.Errorf("the servers' common CA: %w", err)
		}
	}
	return ensureCA(dir, now)
}

func makeCA(dir string, now time.Time) error {
	serial, err := newSerial()
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{
		Subject:               pkix.Name{CommonName: fmt.Sprintf("reeve CA %x", serial.Bytes()[:4])},
		SerialNumber:          serial,
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              now.AddDate(caYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	content, err := issue(tmpl, pair{})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, caPEM), content)
}

// ensureLeaf loads the server's certificate in dir and makes a new one if there
// is none, if it is not of this CA or for these names, or if less than a third of
// its life remains.
func ensureLeaf(dir string, ca pair, names []string, now time.Time) (pair, error) {
	file := filepath.Join(dir, serverPEM)
	leaf, err := loadOwn(file)
	if err == nil && fresh(leaf.leaf, now) && covers(leaf.leaf, names) && leaf.leaf.CheckSignatureFrom(ca.leaf) == nil {
		return leaf, nil
	}
	if err != nil && (errors.Is(err, errReadable) || errors.Is(err, fs.ErrPermission)) {
		return pair{}, fmt.Errorf("server certificate %s: %w", file, err)
	}
	if err := makeLeaf(file, ca, names, now); err != nil {
		return pair{}, fmt.Errorf("server certificate %s: %w", file, err)
	}
	return loadOwn(file)
}

func makeLeaf(file string, ca pair, names []string, now time.Time) error {
	serial, err := newSerial()
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "reeve server"},
		SerialNumber:          serial,
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              now.Add(leafLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if tmpl.NotAfter.After(ca.leaf.NotAfter) {
		tmpl.NotAfter = ca.leaf.NotAfter
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	content, err := issue(tmpl, ca)
	if err != nil {
		return err
	}
	return writeFile(file, content)
}

// fresh reports whether at least a third of c's life remains.
func fresh(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && c.NotAfter.Sub(now) >= c.NotAfter.Sub(c.NotBefore)/3
}

func covers(c *x509.Certificate, names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return c.VerifyHostname(bracketed(n)) != nil })
}

// bracketed is how VerifyHostname wants an address, so that it is not taken for a
// name.
func bracketed(name string) string {
	if net.ParseIP(name) != nil {
		return "[" + name + "]"
	}
	return name
}

// issue makes a P-256 key, signs tmpl with ca (or with the new key itself when ca
// is empty) and encodes certificate, chain and key.
func issue(tmpl *x509.Certificate, ca pair) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent, signer := ca.leaf, ca.cert.PrivateKey
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	content := encodePEM("CERTIFICATE", der)
	if ca.leaf != nil {
		content = append(content, encodePEM("CERTIFICATE", ca.leaf.Raw)...)
	}
	return append(content, encodePEM("PRIVATE KEY", keyDER)...), nil
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
