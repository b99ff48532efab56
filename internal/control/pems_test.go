package control

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// issue writes a certificate and its key into a folder, as NAME.pem and NAME.key.
func issue(t *testing.T, folder, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, name+".pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(folder, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}

// mutual is a check that shows a certificate.
const mutual = `listeners:
  - {name: web, listen: 127.0.0.1:8080, default: {forward: app}}
groups:
  - name: app
    targets: [127.0.0.1:8001]
    health_check:
      protocol: https
      tls_verify: true
      tls_ca_file: roots.pem
      tls_cert_file: us.pem
      tls_key_file: us.key
`

// startMutual runs a control over the check, and returns the folder of its files.
func startMutual(t *testing.T) (r running, folder string) {
	t.Helper()
	folder = t.TempDir()
	issue(t, folder, "roots")
	issue(t, folder, "us")
	absolute := strings.NewReplacer("roots.pem", filepath.Join(folder, "roots.pem"), "us.", folder+"/us.").Replace(mutual)
	return start(t, absolute), folder
}

// TestFilesBeginAtTheConfigsFolder, wherever triage itself was started.
func TestFilesBeginAtTheConfigsFolder(t *testing.T) {
	folder := t.TempDir()
	issue(t, folder, "roots")
	issue(t, folder, "us")
	path := filepath.Join(folder, "triage.yaml")
	write(t, path, mutual)
	f, err := Load(path, env)
	if err != nil {
		t.Fatal(err)
	}
	got := f.Config.Groups[0].HealthCheck.TLS
	if got.CA.File != "roots.pem" || string(got.CA.Text()) != content(t, filepath.Join(folder, "roots.pem")) ||
		string(got.Certificate.Text()) != content(t, filepath.Join(folder, "us.pem")) || string(got.Key.Text()) != content(t, filepath.Join(folder, "us.key")) {
		t.Errorf("read %+v", got)
	}
}

// TestReloadTakesANewCertificate though not a byte of the config file is another.
func TestReloadTakesANewCertificate(t *testing.T) {
	r, folder := startMutual(t)
	if result, err := r.Reload(t.Context()); err != nil || result.Changed {
		t.Fatalf("nothing changed, and the reload says %+v, %v", result, err)
	}
	issue(t, folder, "us")
	fresh := content(t, filepath.Join(folder, "us.key"))
	key := func() string { return string(r.roster().HealthCheck.TLS.Key.Text()) }

	// An edit of something else is not what brings it in.
	interval := "10s"
	if _, err := r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{Interval: &interval}); err != nil || key() == fresh {
		t.Fatalf("an edit has read the key again, or was refused: %v", err)
	}
	if result, err := r.Reload(t.Context()); err != nil || !result.Changed || key() != fresh {
		t.Errorf("%+v, %v", result, err)
	}
	if said := strings.Join(r.log.lines(), "\n"); !strings.Contains(said, "group app: health check changed") {
		t.Errorf("the log says %s", said)
	}
	write(t, filepath.Join(folder, "us.key"), "gone")
	if _, err := r.Reload(t.Context()); triage.KindOf(err) != triage.KindInvalid || !strings.Contains(err.Error(), "us.key holds no private key in PEM but something else") {
		t.Errorf("a broken key: %v", err)
	}
	if key() != fresh {
		t.Error("a refused reload has changed the check")
	}
}

// TestKeysAreNeverShown: whatever is printed of a config names files.
func TestKeysAreNeverShown(t *testing.T) {
	r, folder := startMutual(t)
	var out bytes.Buffer
	check := r.roster().HealthCheck
	fmt.Fprintf(&out, "%v %+v %#v %s\n", check, check, check.TLS, check.TLS.Key)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "check", check, "key", check.TLS.Key)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "check", check, "key", check.TLS.Key)
	for _, v := range []any{r.Status(t.Context()), check, check.TLS.Key} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	// Errors, too: a key where a certificate belongs, and the other way round.
	cert, key := filepath.Join(folder, "us.pem"), filepath.Join(folder, "us.key")
	for _, e := range []HealthCheckEdit{{TLSCertFile: &key}, {TLSKeyFile: &cert}, {TLSCAFile: &key}} {
		_, err := r.SetHealthCheck(t.Context(), "app", e)
		if triage.KindOf(err) != triage.KindInvalid {
			t.Errorf("%+v: %v", e, err)
		}
		fmt.Fprintln(&out, err, triage.HintOf(err))
	}
	shown := out.String() + strings.Join(r.log.lines(), "\n")
	for _, name := range []string{"us.key", "us.pem", "roots.pem"} {
		if !strings.Contains(shown, name) {
			t.Errorf("%s is not named", name)
		}
		block, _ := pem.Decode([]byte(content(t, filepath.Join(folder, name))))
		for line := range strings.Lines(string(pem.EncodeToMemory(block))) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") && strings.Contains(shown, line) {
				t.Errorf("%s is shown: %s", name, line)
			}
		}
	}
	if v := viewOf(check); v.TLSKeyFile != key || v.TLSCertFile != cert || v.TLSVerify == nil || !*v.TLSVerify {
		t.Errorf("the view is %+v", v)
	}
}

// TestWrongFiles: what is wrong with a file is said at the line of its key, by what the file holds.
func TestWrongFiles(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	for _, name := range []string{"roots", "us", "other"} {
		issue(t, folder, name)
	}
	write(t, at("empty.pem"), "")
	write(t, at("der.pem"), "\x30\x82\x01\x0a")
	write(t, at("broken.pem"), content(t, at("roots.pem"))+"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	write(t, at("locked.key"), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	write(t, at("locked-old.key"), "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n")
	write(t, at("strange.pem"), "-----BEGIN X\x1b509 CRL-----\nAAAA\n-----END X\x1b509 CRL-----\n")
	write(t, at("large.pem"), strings.Repeat("#", maxPEM+1))
	if err := syscall.Mkfifo(at("pipe.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := at("secret.pem")
	write(t, secret, "")
	if err := os.Chmod(secret, 0); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ swap, message, hint string }{
		{"roots.pem=empty.pem", "9: empty.pem holds no certificate in PEM but nothing at all", "-----BEGIN CERTIFICATE-----"},
		{"roots.pem=us.key", "9: us.key holds no certificate in PEM but a private key", ""},
		{"roots.pem=der.pem", "9: der.pem holds no certificate in PEM but something in DER, which openssl", ""},
		{"roots.pem=broken.pem", "9: broken.pem: certificate 2 cannot be read: ", "whole"},
		{"roots.pem=strange.pem", `9: strange.pem holds no certificate in PEM but a block of "X\x1b509 CRL"`, ""},
		{"roots.pem=pipe.pem", "9: tls_ca_file: read " + at("pipe.pem") + ": it is no regular file", ""},
		{"roots.pem=large.pem", "9: tls_ca_file: read " + at("large.pem") + ": it is larger than 1048576 bytes", ""},
		{"roots.pem=none.pem", "9: tls_ca_file: read " + at("none.pem") + ": no such file or directory", "is the path right?"},
		{"us.pem=us.key", "10: us.key holds no certificate in PEM but a private key", ""},
		{"us.pem=none.pem", "10: tls_cert_file: read ", "is the path right?"},
		{"us.key=us.pem", "11: us.pem holds no private key in PEM but a certificate", "-----BEGIN PRIVATE KEY-----"},
		{"us.key=locked.key", "11: locked.key holds no private key in PEM but a private key with a password", "openssl pkey -in locked.key"},
		{"us.key=locked-old.key", "11: locked-old.key holds no private key in PEM but a private key with a password", "openssl pkey"},
		{"us.key=other.key", "11: us.pem and other.key do not go together: private key does not match public key", "the certificate was asked for with"},
		{"us.key=", "10: tls_cert_file us.pem is of no use without tls_key_file", "write tls_key_file"},
		{"us.pem=", "11: tls_key_file us.key is of no use without tls_cert_file", "write tls_cert_file"},
	} {
		was, is, _ := strings.Cut(tt.swap, "=")
		path := at("triage.yaml")
		_, err := Parse(path, []byte(strings.Replace(mutual, ": "+was, ": "+is, 1)), env)
		if err == nil || !strings.HasPrefix(err.Error(), path+":"+tt.message) || !strings.Contains(triage.HintOf(err), tt.hint) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v (%s)", tt.swap, err, triage.HintOf(err))
		}
	}
}

// TestFilesByEdit: a certificate is set with its key, or not at all.
func TestFilesByEdit(t *testing.T) {
	r := start(t, strings.Replace(app, "protocol: http", "protocol: https", 1))
	folder := filepath.Dir(r.path)
	issue(t, folder, "us")
	cert, key, none, yes := "us.pem", "us.key", "", true
	if _, err := r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{TLSCertFile: &cert}); triage.KindOf(err) != triage.KindInvalid {
		t.Errorf("a certificate alone: %v", err)
	}
	result, err := r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{TLSCertFile: &cert, TLSKeyFile: &key, TLSVerify: &yes})
	if err != nil || !result.Changed || string(r.roster().HealthCheck.TLS.Key.Text()) != content(t, filepath.Join(folder, key)) {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{TLSCertFile: &none, TLSKeyFile: &none}); err != nil || r.roster().HealthCheck.TLS.Key.File != "" {
		t.Errorf("taken away: %v", err)
	}
}
