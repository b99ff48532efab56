package triage_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// TestTLSVersions: each is read as it is written.
func TestTLSVersions(t *testing.T) {
	for text, version := range map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		if got, err := triage.ParseTLSVersion(text); err != nil || got != version || triage.TLSVersionText(version) != text {
			t.Errorf("%s is %#x (%v), and %#x is %s", text, got, err, version, triage.TLSVersionText(version))
		}
	}
	for _, text := range []string{"", "1", "1.4", "TLS1.2", "tls 1.2", "SSLv3"} {
		if _, err := triage.ParseTLSVersion(text); triage.KindOf(err) != triage.KindInvalid || triage.HintOf(err) == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
	if triage.TLSVersionText(0) != "" {
		t.Error("no version has a text")
	}
}

// TestTLSSettings that cannot be. What files hold is looked at where they are read: internal/control has those tests.
func TestTLSSettings(t *testing.T) {
	file := func(text string) triage.PEM { return triage.NewPEM("x.pem", []byte(text)) }
	for _, tt := range []struct {
		tls       triage.CheckTLS
		key, says string
	}{
		{triage.CheckTLS{}, "", ""},
		{triage.CheckTLS{ServerName: "app.example.org", Verify: triage.Yes, MinVersion: tls.VersionTLS13}, "", ""},
		{triage.CheckTLS{ServerName: "10.0.0.1"}, "tls_server_name", "is an address"},
		{triage.CheckTLS{ServerName: "[::1]"}, "tls_server_name", "is an address"},
		{triage.CheckTLS{ServerName: "app:443"}, "tls_server_name", "holds ':'"},
		{triage.CheckTLS{ServerName: strings.Repeat("a", 254)}, "tls_server_name", "253"},
		{triage.CheckTLS{MinVersion: tls.VersionTLS13 + 1}, "tls_min_version", "is unknown"},
		{triage.CheckTLS{MinVersion: 1}, "tls_min_version", "is unknown"},
		{triage.CheckTLS{CA: file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}, "tls_ca_file", "certificate 1 cannot be read"},
		{triage.CheckTLS{CA: file("hello")}, "tls_ca_file", "but something else"},
		{triage.CheckTLS{Certificate: file("")}, "tls_cert_file", "without tls_key_file"},
		{triage.CheckTLS{Key: file("")}, "tls_key_file", "without tls_cert_file"},
	} {
		ps := tt.tls.Validate()
		switch {
		case tt.key == "" && len(ps) > 0, len(ps) > 1:
			t.Errorf("%+v: %v", tt.tls, ps)
		case tt.key != "" && (len(ps) == 0 || ps[0].Path != tt.key || !strings.Contains(ps[0].Message, tt.says)):
			t.Errorf("%+v: %v, want %s: … %s", tt.tls, ps, tt.key, tt.says)
		}
	}
	if shown := fmt.Sprintf("%v %+v %#v", file("secret"), triage.CheckTLS{Key: file("secret")}, file("secret")); strings.Contains(shown, "secret") {
		t.Errorf("shown: %s", shown)
	}
}
