package e2e

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	haproxyPath  = "/usr/sbin/haproxy"
	caddyPath    = "/usr/bin/caddy"
	blackboxPath = "/usr/bin/prometheus-blackbox-exporter"
)

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// haproxy is a HAProxy that does nothing but check.
type haproxy struct {
	*process
	socket string
}

// startHAProxy runs HAProxy with some backends, each a section of its configuration.
func startHAProxy(t *testing.T, backends ...string) *haproxy {
	t.Helper()
	dir := workFolder(t)
	h := &haproxy{socket: filepath.Join(dir, "socket")}
	ms := limit.Milliseconds()
	config := fmt.Sprintf("global\n  nbthread 1\n  stats socket %s level admin\n"+ // one thread: each keeps TLS sessions of its own
		"defaults\n  timeout connect %dms\n  timeout check %[2]dms\n  timeout server 1m\n"+
		"  default-server check inter %dms rise 1 fall 1\n%s\n", h.socket, ms, interval.Milliseconds(), strings.Join(backends, "\n"))
	h.process = newProcess(t, &process{
		name: "haproxy", path: haproxyPath, dir: filepath.Join(dir, "haproxy"), quit: syscall.SIGTERM,
		args: []string{"-db", "-q", "-f", writeFile(t, dir, "haproxy.cfg", config)},
	})
	h.start(t)
	h.waitUntil(t, "opens its socket", func() bool { return h.stat() != nil })
	return h
}

// serverStat is what HAProxy says about a server.
type serverStat struct {
	Check string // the code of the last check, as in L7STS; "" while there was none
	Up    bool
}

// stat asks the admin socket about all servers, which it returns by "backend/server"; nil if it does not answer.
func (h *haproxy) stat() map[string]serverStat {
	c, err := net.Dial("unix", h.socket)
	if err != nil {
		return nil
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "show stat\n"); err != nil {
		return nil
	}
	rows, err := csv.NewReader(c).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	stats := map[string]serverStat{}
	for _, row := range rows[1:] {
		get := func(name string) string { return row[column[name]] }
		check := strings.TrimPrefix(get("check_status"), "* ") // a check is running; this is of the one before
		if check == "INI" || check == "UNK" {
			check = ""
		}
		stats[get("# pxname")+"/"+get("svname")] = serverStat{check, strings.HasPrefix(get("status"), "UP")}
	}
	return stats
}

// caddy is a Caddy that checks some upstreams.
type caddy struct{ *process }

// caddyGroup is the upstreams of one reverse_proxy.
type caddyGroup struct {
	upstreams []string
	tls       map[string]any // the settings of its TLS; nil: asked without
	h2c       bool           // asked over HTTP/2 without TLS
}

// anyCertificate are the settings of Caddy's TLS to an upstream that verify nothing.
func anyCertificate() map[string]any { return map[string]any{"insecure_skip_verify": true} }

func startCaddy(t *testing.T, path string, groups ...caddyGroup) *caddy {
	t.Helper()
	type object = map[string]any
	dir := workFolder(t)
	var routes []object
	for _, g := range groups {
		var upstreams []object
		for _, u := range g.upstreams {
			upstreams = append(upstreams, object{"dial": u})
		}
		proxy := object{"handler": "reverse_proxy", "upstreams": upstreams, "health_checks": object{
			"active": object{"uri": path, "interval": interval.String(), "timeout": limit.String()},
		}}
		switch {
		case g.tls != nil:
			proxy["transport"] = object{"protocol": "http", "tls": g.tls}
		case g.h2c:
			proxy["transport"] = object{"protocol": "http", "versions": []string{"h2c"}}
		}
		routes = append(routes, object{"handle": []object{proxy}})
	}
	listen := netip.AddrPortFrom(loopback, newPorts().pick(t, loopback))
	config, err := json.Marshal(object{
		"admin": object{"disabled": true, "config": object{"persist": false}},
		"apps": object{"http": object{"servers": object{"web": object{
			"listen": []string{listen.String()}, "automatic_https": object{"disable": true}, "routes": routes,
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &caddy{newProcess(t, &process{
		name: "caddy", path: caddyPath, dir: filepath.Join(dir, "caddy"), quit: syscall.SIGTERM,
		args: []string{"run", "--config", writeFile(t, dir, "caddy.json", string(config))},
	})}
	c.start(t)
	return c
}

// failures returns what Caddy has logged about checks that failed: the causes by upstream, the oldest first.
func (c *caddy) failures(t *testing.T) map[string][]string {
	t.Helper()
	causes := map[string][]string{}
	for line := range strings.Lines(c.logged(t)) {
		var entry struct {
			Logger, Msg, Host, Error string
			StatusCode               int `json:"status_code"`
		}
		if json.Unmarshal([]byte(line), &entry) != nil || !strings.HasSuffix(entry.Logger, "health_checker.active") || entry.Host == "" {
			continue // also the line that is being written
		}
		cause := entry.Msg
		switch {
		case entry.StatusCode != 0:
			cause = fmt.Sprint(entry.StatusCode)
		case entry.Error != "":
			cause = entry.Error[strings.LastIndex(entry.Error, "\": ")+len("\": "):] // behind Get "URL":
		}
		causes[entry.Host] = append(causes[entry.Host], cause)
	}
	return causes
}

// blackbox is a Prometheus blackbox_exporter.
type blackbox struct {
	*process
	addr netip.AddrPort
}

// startBlackbox runs it with the usual modules and some more, each a line of its configuration.
func startBlackbox(t *testing.T, modules ...string) *blackbox {
	t.Helper()
	dir := workFolder(t)
	config := fmt.Sprintf("modules:\n"+
		"  http_2xx: {prober: http, timeout: %[1]s, http: {preferred_ip_protocol: ip4}}\n"+
		"  http_2xx_any_certificate: {prober: http, timeout: %[1]s, http: {preferred_ip_protocol: ip4, tls_config: {insecure_skip_verify: true}}}\n"+
		"  tcp_connect: {prober: tcp, timeout: %[1]s}\n%[2]s\n", limit, strings.Join(modules, "\n"))
	b := &blackbox{addr: netip.AddrPortFrom(loopback, newPorts().pick(t, loopback))}
	b.process = newProcess(t, &process{
		name: "blackbox_exporter", path: blackboxPath, dir: filepath.Join(dir, "blackbox"), quit: syscall.SIGTERM,
		args: []string{"--config.file=" + writeFile(t, dir, "blackbox.yml", config), "--web.listen-address=" + b.addr.String(), "--log.level=error"},
	})
	b.start(t)
	b.waitUntil(t, "answers", func() bool { return answers(b.addr) })
	return b
}

// module is a line of blackbox_exporter's configuration: settings in YAML, of this kind of probe.
func module(name, prober, settings string) string {
	return fmt.Sprintf("  %s: {prober: %s, timeout: %s, %[2]s: {preferred_ip_protocol: ip4, %[4]s}}", name, prober, limit, settings)
}

// probe has a target checked, as a scrape of Prometheus does, and returns whether it passed and why not. It may be
// called concurrently.
func (b *blackbox) probe(module, target string) (ok bool, log string, err error) {
	query := url.Values{"module": {module}, "target": {target}, "debug": {"true"}}
	client := http.Client{Timeout: 3 * limit} // of the scrape: the module's own timeout does not reach gRPC
	resp, err := client.Get("http://" + b.addr.String() + "/probe?" + query.Encode())
	if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() {
		return false, "the scrape timed out", nil
	}
	if err != nil {
		return false, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	for line := range strings.Lines(string(text)) {
		if _, cause, found := strings.Cut(line, " err=\""); found {
			log = cause[strings.LastIndex(cause, "\\\": ")+1:]
		} else if _, code, found := strings.Cut(line, "Invalid HTTP response status code"); found {
			log = code[strings.LastIndex(code, "=")+1:]
		}
	}
	log = strings.Trim(log, "\\\" :\n")
	return strings.Contains(string(text), "\nprobe_success 1\n"), log, err
}

// versionOf is what a program says of its own version, in one line.
func versionOf(t *testing.T, path string, args ...string) string {
	t.Helper()
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", path, args, err, out)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
