package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// authority issues certificates, for one test.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	// chain is what has to be sent along with what it issues: its own certificate, unless that is a root.
	chain [][]byte
}

// newAuthority makes a root.
func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	a.cert = parse(t, sign(t, authorityTemplate(name), nil, a.key.Public(), a.key))
	return a
}

// under makes an authority that another one vouches for.
func (a *authority) under(t *testing.T, name string) *authority {
	t.Helper()
	b := &authority{key: newKey(t)}
	b.cert = parse(t, sign(t, authorityTemplate(name), a.cert, b.key.Public(), a.key))
	b.chain = [][]byte{b.cert.Raw}
	return b
}

func authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

// issue makes a certificate for this machine, unless change says otherwise.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	return a.issueFor(t, newKey(t), change)
}

// issueFor is issue with a key that is there.
func (a *authority) issueFor(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := machineTemplate()
	if change != nil {
		change(template)
	}
	return tls.Certificate{
		Certificate: append([][]byte{sign(t, template, a.cert, key.Public(), a.key)}, a.chain...), PrivateKey: key,
	}
}

// ownCertificate makes one that nobody vouches for.
func ownCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key := newKey(t)
	return tls.Certificate{Certificate: [][]byte{sign(t, machineTemplate(), nil, key.Public(), key)}, PrivateKey: key}
}

func machineTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost", realName}, IPAddresses: []net.IP{loopback.AsSlice()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(23 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// pool is the authority as somebody has it who trusts it.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// pem is the authority as a file has it.
func (a *authority) pem() []byte { return certificatePEM(a.cert.Raw) }

// keyPair is a certificate with its chain, and its key, as files have them.
func keyPair(t *testing.T, c tls.Certificate) (certificate, key []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range c.Certificate {
		certificate = append(certificate, certificatePEM(link)...)
	}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign issues a certificate; parent nil: it signs itself.
func sign(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) []byte {
	t.Helper()
	if parent == nil {
		parent = template
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
