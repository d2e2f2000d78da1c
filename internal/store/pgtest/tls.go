package pgtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateFile is the server's certificate, which it has signed itself.
const certificateFile = "server.crt"

// Certificate returns the file of the certificate of a server with Config.TLS, which speaks for
// 127.0.0.1.
func (s *Server) Certificate() string { return filepath.Join(s.dir, certificateFile) }

// certify makes the server's certificate and its key.
func (s *Server) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	keyFile := filepath.Join(s.dir, "server.key")
	err = errors.Join(
		os.WriteFile(s.Certificate(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600))
	if uid, gid, ok := account(); ok && err == nil {
		err = os.Chown(keyFile, int(uid), int(gid))
	}
	s.config.Settings = append(s.config.Settings, "ssl=on", "ssl_cert_file="+s.Certificate(), "ssl_key_file="+keyFile)
	return err
}
