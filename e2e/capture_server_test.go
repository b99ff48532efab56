package e2e

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose/testdata/recording"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// captureFolder is where capture.sh wants the servers' files to be: in its folder app, so that what a server says of its own
// files is the same on all machines. Node's packages are in node_modules beside it. "" outside of make capture.
func captureFolder() string { return os.Getenv("TRIAGE_CAPTURE") }

// setUp writes the files that the server reads.
func (c *capturer) setUp(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { os.RemoveAll(c.dir) })
	for _, f := range c.Setup {
		writeFile(t, c.dir, f.Name, string(f.Data))
	}
	if text := c.Get(recording.Certificate); text != "" {
		certificate, key := certificates(t, text)
		writeFile(t, c.dir, "cert.pem", string(certificate))
		writeFile(t, c.dir, "key.pem", string(key))
		writeFile(t, c.dir, "both.pem", string(certificate)+string(key))
	}
}

// start runs the programs, one after the other, and returns when all answer.
func (c *capturer) start(t *testing.T) {
	t.Helper()
	var last *process
	for _, line := range c.All(recording.Run) {
		words := strings.Fields(strings.ReplaceAll(line, "{dir}", c.dir))
		last = newProcess(t, &process{
			name: words[0], path: c.find(words[0]), args: words[1:], dir: c.dir, env: c.environment(), quit: syscall.SIGTERM,
		})
		last.start(t)
	}
	if last == nil {
		return
	}
	wanted := c.All(recording.Ready)
	if at := slices.Index(wanted, "no"); at >= 0 {
		wanted = slices.Delete(wanted, at, at+1)
	} else {
		wanted = append(wanted, c.address(t).String())
	}
	plan := probe.Compile(dialect.Get(triage.Own), triage.DefaultHealthCheck())
	for _, address := range wanted {
		key := triage.Key{Address: netip.MustParseAddrPort(address)}
		last.waitUntil(t, "takes connections at "+address, func() bool {
			return probe.Do(t.Context(), plan, key, triage.AddressPolicy{}).Outcome == triage.Connected
		})
	}
}

// searchPath is where programs are looked for.
func (c *capturer) searchPath() string {
	system := strings.TrimPrefix(systemPath, "PATH=")
	if c.Get(recording.Path) == "caller" {
		return os.Getenv("PATH")
	}
	return system + ":/usr/local/go/bin"
}

// find returns where a program is; its name alone if it is nowhere, so that starting it says so.
func (c *capturer) find(name string) string {
	for dir := range strings.SplitSeq(c.searchPath(), ":") {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return name
}

// environment is what the programs are given beside PATH and HOME.
func (c *capturer) environment() []string {
	return []string{"PATH=" + c.searchPath(), "GOCACHE=" + os.Getenv("GOCACHE"), "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local"}
}

// versions says what the server is made of. It skips the test if a part is not installed.
func (c *capturer) versions(t *testing.T) string {
	t.Helper()
	var all, missing []string
	for name := range strings.FieldsSeq(c.Get(recording.Debian)) {
		out, err := exec.Command("dpkg-query", "-W", "-f=${Version}", name).Output()
		if err != nil || len(out) == 0 {
			missing = append(missing, name+" (Debian package)")
			continue
		}
		all = append(all, name+" "+string(out))
	}
	for name := range strings.FieldsSeq(c.Get(recording.NPM)) {
		var manifest struct{ Version string }
		text, err := os.ReadFile(filepath.Join(captureFolder(), "node_modules", name, "package.json"))
		if err != nil || json.Unmarshal(text, &manifest) != nil {
			missing = append(missing, name+" (npm package)")
			continue
		}
		all = append(all, name+" "+manifest.Version)
	}
	for _, line := range c.All(recording.Version) {
		words := strings.Fields(line)
		command := exec.Command(c.find(words[0]), words[1:]...)
		out, err := command.CombinedOutput()
		if err != nil {
			missing = append(missing, line)
			continue
		}
		said := strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", ", ")
		if !strings.Contains(strings.ToLower(said), words[0]) {
			said = words[0] + " " + said
		}
		all = append(all, said)
	}
	if missing != nil {
		t.Skipf("NOT RECORDED, missing: %s", strings.Join(missing, ", "))
	}
	return cmp.Or(strings.Join(all, ", "), "the kernel alone")
}

// certificates makes what the line of a recording's head asks for, and the key: names, then for how many days from now the
// certificate is valid, which below zero it no longer is. By a word before them it is not signed by itself: "issued", by an
// authority that nobody knows; "chain", likewise and shown with the authority's own; "nameless", with its name in the subject
// alone; "client", for clients alone.
func certificates(t *testing.T, line string) (certificate, key []byte) {
	t.Helper()
	words := strings.Fields(line)
	days, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		t.Fatal(err)
	}
	kind, names := words[0], words[1:len(words)-1]
	if len(names) == 0 {
		kind, names = "", words[:1]
	}
	until := time.Now().AddDate(0, 0, days)
	own := &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: until.AddDate(-1, 0, 0), NotAfter: until, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	private := newKey(t)
	var authority *x509.Certificate
	issuerKey := private
	switch kind {
	case "":
		own.IsCA, own.KeyUsage, own.ExtKeyUsage = true, 0, nil // Apache takes it as the authority of its clients too
	case "nameless":
		own.DNSNames = nil
	case "client":
		own.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case "issued", "chain":
		issuerKey = newKey(t)
		authority = parse(t, sign(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: "Example Authority"}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: own.NotBefore, NotAfter: until.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
		}, nil, issuerKey.Public(), issuerKey))
	default:
		t.Fatalf("certificate: %s: unknown kind", kind)
	}
	shown := tls.Certificate{Certificate: [][]byte{sign(t, own, authority, private.Public(), issuerKey)}, PrivateKey: private}
	if kind == "chain" {
		shown.Certificate = append(shown.Certificate, authority.Raw)
	}
	return keyPair(t, shown)
}
