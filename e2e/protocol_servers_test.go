package e2e

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// identity is a folder with the files that servers and clients over TLS need: ca.pem, own.pem and own.key.
type identity struct {
	folder string
	ca     *authority
	own    tls.Certificate
}

func newIdentity(t *testing.T) identity {
	t.Helper()
	id := identity{folder: workFolder(t), ca: newAuthority(t, "Trusted")}
	id.own = id.ca.issue(t, nil)
	certificate, key := keyPair(t, id.own)
	writeFile(t, id.folder, "ca.pem", string(id.ca.pem()))
	writeFile(t, id.folder, "own.pem", string(certificate))
	writeFile(t, id.folder, "own.key", string(key))
	return id
}

// file is the path of one of the folder's files.
func (id identity) file(name string) string { return filepath.Join(id.folder, name) }

// serverTLS is the configuration of a server; a mutual one wants to know its clients.
func (id identity) serverTLS(mutual bool) *tls.Config {
	c := &tls.Config{Certificates: []tls.Certificate{id.own}}
	if mutual {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, id.ca.pool()
	}
	return c
}

// startGRPC starts a server of grpc-go: well as a whole and for the service app.Shop, sick for app.Sick. Without the health
// service it implements nothing.
func startGRPC(t *testing.T, config *tls.Config, withHealth bool) netip.AddrPort {
	t.Helper()
	var options []grpc.ServerOption
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	s := grpc.NewServer(options...)
	if withHealth {
		h := health.NewServer()
		h.SetServingStatus("app.Shop", healthpb.HealthCheckResponse_SERVING)
		h.SetServingStatus("app.Sick", healthpb.HealthCheckResponse_NOT_SERVING)
		healthpb.RegisterHealthServer(s, h)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// startGo starts Go's own web server, over HTTP/1.1 and HTTP/2. It says in its content which of them was spoken.
func startGo(t *testing.T, config *tls.Config) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Server", "go")
		io.WriteString(w, r.Proto)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if config != nil {
		s.TLS, s.EnableHTTP2 = config, true
		s.StartTLS()
	} else {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}

// nginxListeners are nginx's addresses, one for each way to speak.
type nginxListeners struct {
	Plain, H2C, TLS, H2, Proxied, ProxiedTLS, Mutual, TLS12 netip.AddrPort
}

func startNginxProtocols(t *testing.T, id identity) nginxListeners {
	t.Helper()
	ports := newPorts()
	pick := func() netip.AddrPort { return netip.AddrPortFrom(loopback, ports.pick(t, loopback)) }
	at := nginxListeners{pick(), pick(), pick(), pick(), pick(), pick(), pick(), pick()}
	dir := filepath.Join(workFolder(t), "nginx")
	for _, name := range []string{"ca.pem", "own.pem", "own.key"} {
		text, err := os.ReadFile(id.file(name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, name, string(text))
	}
	var conf strings.Builder
	if err := template.Must(template.ParseFiles("testdata/nginx-protocols.conf.tmpl")).Execute(&conf, at); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "nginx.conf", conf.String())
	n := newProcess(t, &process{
		name: "nginx", path: nginxPath, args: []string{"-p", dir, "-e", "stderr", "-c", "nginx.conf"}, dir: dir, quit: syscall.SIGTERM,
	})
	n.start(t)
	n.waitUntil(t, "answers", func() bool { return answers(at.Plain) })
	return at
}

// startNode starts Node's web servers over HTTP/2.
func startNode(t *testing.T, id identity) (h2c, h2 netip.AddrPort) {
	t.Helper()
	ports := newPorts()
	h2c, h2 = netip.AddrPortFrom(loopback, ports.pick(t, loopback)), netip.AddrPortFrom(loopback, ports.pick(t, loopback))
	n := newProcess(t, &process{
		name: "node", path: nodePath, dir: filepath.Join(workFolder(t), "node"), quit: syscall.SIGTERM,
		args: []string{repoFile(t, "e2e/testdata/h2.mjs"), loopback.String(), portText(h2c.Port()), portText(h2.Port()), id.folder},
	})
	n.start(t)
	n.waitUntil(t, "listens", func() bool { return listens(h2c) && listens(h2) })
	return h2c, h2
}

// listens tells whether connections to an address are accepted.
func listens(at netip.AddrPort) bool {
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		return false
	}
	c.Close()
	return true
}
