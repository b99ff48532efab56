package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
	"github.com/triage-lb/triage/internal/dialect"
)

// settingsOf returns the check of an endpoint as a load balancer has it that is told nothing more.
func settingsOf(e endpoint, spec *dialect.Spec) triage.HealthCheck {
	settings := triage.DefaultHealthCheck()
	settings.Protocol, settings.Path = e.protocol, cmp.Or(e.path, "/")
	if !spec.Codes.Empty() {
		settings.SuccessCodes = spec.Codes
	}
	settings.GRPCCodes, _ = spec.PassingCodes(triage.GRPC)
	if spec.Name != triage.Own {
		settings.As = spec.Name
	}
	return settings
}

// applyHTTP takes over the options that mean something only where a request is sent.
func (c *checkCommand) applyHTTP(q *question, settings *triage.HealthCheck) error {
	protocol := q.endpoint.protocol
	if !protocol.Asks() {
		for _, o := range []struct {
			name  string
			given bool
		}{
			{"--path", c.Path != ""}, {"--service", c.Service != ""}, {"--host", c.Host != ""}, {"-H", len(c.Header) > 0}, {"--success-codes", c.SuccessCodes != ""},
			{"--expect-header", c.ExpectHeader != ""}, {"--expect-body", c.ExpectBody != ""}, {"--expect-regex", c.ExpectRegex != ""}, {"--expect", c.Expect != ""},
		} {
			if o.given {
				return usagef("ask over http:// or https://", "%s: a check over %s sends no request", o.name, protocol)
			}
		}
		return nil
	}
	if c.Path != "" {
		path, err := cleanPath(c.Path)
		if err != nil {
			return usagef(checkHelp, "--path: %s", err)
		}
		settings.Path, q.endpoint.path = path, path
	}
	switch {
	case protocol.IsGRPC():
		if err := c.applyGRPC(q, settings); err != nil {
			return err
		}
	case c.Service != "":
		return usagef("ask over grpc:// or grpcs://", "--service: a check over %s asks for a path", protocol)
	}
	if err := c.applyHeaders(q, settings); err != nil {
		return err
	}
	return c.applyCodes(q, settings)
}

// applyGRPC takes over what is asked: of the health service about a service, or another method.
func (c *checkCommand) applyGRPC(q *question, settings *triage.HealthCheck) error {
	rule := q.spec.GRPC
	path := q.endpoint.path
	settings.Path, q.endpoint.path = "/", ""
	if strings.Contains(path, "?") {
		return usagef("leave it away", "%q has a query, which gRPC does not have", path)
	}
	if !rule.Health() {
		if c.Service != "" {
			return usagef("put the method into the URL: grpc://HOST:PORT/package.Service/Method", "--service: %s asks a method, not gRPC's health service", q.spec.Title)
		}
		if path != "/" && !rule.Settable {
			return usagef("leave the path away", "%s asks %s and cannot be told another method", q.spec.Title, rule.Method)
		}
		if path == "/" {
			q.endpoint.path = rule.Method
			return nil
		}
		settings.Path, q.endpoint.path = path, path
		return nil
	}
	if c.Path != "" {
		return usagef("--service NAME asks about a service", "--path: %s asks gRPC's health service", q.spec.Title)
	}
	service, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		return usagef(checkHelp, "%q is no service: %s", path, err)
	}
	settings.Service = cmp.Or(c.Service, service)
	if settings.Service != "" {
		q.endpoint.path = "/" + settings.Service
	}
	return nil
}

func (c *checkCommand) applyCodes(q *question, settings *triage.HealthCheck) error {
	if c.SuccessCodes == "" {
		return nil
	}
	parse, to, hint := triage.ParseMatcher, &settings.SuccessCodes, checkHelp
	if settings.Protocol.IsGRPC() {
		parse, to, hint = triage.ParseGRPCMatcher, &settings.GRPCCodes, "gRPC has status codes of its own: 0 is OK, 12 UNIMPLEMENTED"
	}
	codes, err := parse(c.SuccessCodes)
	if err != nil {
		return usagef(hint, "--success-codes: %s", err)
	}
	*to = codes
	if _, legal := q.spec.PassingCodes(settings.Protocol); !legal.Empty() && !codes.Within(legal) {
		q.departs = append(q.departs, fmt.Sprintf("--success-codes %s (it takes %s)", codes, legal))
	}
	return nil
}

// expressionHint shows how an expression looks.
const expressionHint = `for example --expect 'json.ready && latency < duration("200ms")'`

func (c *checkCommand) applyExpect(_ *question, settings *triage.HealthCheck) error {
	settings.Expect = triage.Expect{Header: c.ExpectHeader, Body: c.ExpectBody, BodyRegex: c.ExpectRegex, Expression: c.Expect}
	if err := control.CheckExpression(*settings); err != nil {
		return usagef(cmp.Or(triage.HintOf(err), expressionHint), "--expect: %s", err)
	}
	return nil
}

// applyTLS takes over how TLS is spoken. Load balancers that follow redirects may come to speak it later.
func (c *checkCommand) applyTLS(q *question, settings *triage.HealthCheck) error {
	settings.TLS.ServerName = c.ServerName
	if c.Verify != nil {
		settings.TLS.Verify = triage.No
		if *c.Verify {
			settings.TLS.Verify = triage.Yes
		}
	}
	for _, f := range []struct {
		flag, name string
		to         *triage.PEM
	}{{"--cert", c.Cert, &settings.TLS.Certificate}, {"--key", c.Key, &settings.TLS.Key}} {
		if f.name == "" {
			continue
		}
		file, err := readPEM(f.flag, f.name)
		if err != nil {
			return err
		}
		*f.to = file
	}
	if c.TLSMin != "" {
		version, err := triage.ParseTLSVersion(c.TLSMin)
		if err != nil {
			return usagef(triage.HintOf(err), "--tls-min: %s", err)
		}
		settings.TLS.MinVersion = version
	}
	if p := q.endpoint.protocol; settings.TLS != (triage.CheckTLS{}) && !p.Encrypted() && (p != triage.HTTP || q.spec.Redirects == dialect.RedirectsJudged) {
		return usagef("ask over https://, h2://, grpcs:// or tls://", "a check over %s is not encrypted: --server-name, --verify, --cert, --key and --tls-min mean nothing to it", p)
	}
	return nil
}

func (c *checkCommand) applyConnection(_ *question, settings *triage.HealthCheck) (err error) {
	if c.ProxyProtocol != "" {
		if settings.ProxyProtocol, err = triage.ParseProxyProtocol(c.ProxyProtocol); err != nil {
			return usagef(triage.HintOf(err), "--proxy-protocol: %s", err)
		}
	}
	if c.Source != "" {
		if settings.Source, err = triage.ParseSource(c.Source); err != nil {
			return usagef(triage.HintOf(err), "--source: %s", err)
		}
	}
	return nil
}

// sourced refuses an address to ask from that is not one of this machine: it would fail each check, and no target is to blame.
func (q *question) sourced() error {
	if source := q.plan.Source; source.IsValid() && !ours(source) {
		return usagef("ip address lists this machine's own", "--source: %s is not an address of this machine", source)
	}
	return nil
}

// ours reports whether this machine lets a program use the address as its own.
func ours(a netip.Addr) bool {
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return !errors.Is(err, syscall.EADDRNOTAVAIL)
	}
	_ = socket.Close()
	return true
}

// flagNames are the flags of triage check for keys of a health check, the longer names first.
var flagNames = []string{
	"expect_body_regex", "--expect-regex", "expect_body", "--expect-body", "expect_header", "--expect-header",
	"tls_server_name", "--server-name", "tls_verify", "--verify", "tls_cert_file", "--cert", "tls_key_file", "--key", "tls_min_version", "--tls-min",
	"proxy_protocol", "--proxy-protocol", "source_address", "--source",
}

// departures refuses what cannot be, and notes what the load balancer itself cannot be told.
func (c *checkCommand) departures(q *question, settings *triage.HealthCheck) error {
	flags := strings.NewReplacer(flagNames...)
	for _, p := range settings.Validate().Errors() {
		if p.Path == "interval" || p.Path == "timeout" { // there is one check, and its time is looked at already
			continue
		}
		return usagef(cmp.Or(flags.Replace(p.Hint), checkHelp), "%s", flags.Replace(p.Message))
	}
	values := map[string]string{
		"expect_header": c.ExpectHeader, "expect_body": c.ExpectBody, "expect_body_regex": c.ExpectRegex, "expect": c.Expect,
		"tls_server_name": c.ServerName, "tls_cert_file": c.Cert, "tls_min_version": c.TLSMin,
		"proxy_protocol": c.ProxyProtocol, "source_address": c.Source,
	}
	for _, key := range control.Beyond(q.spec, *settings) {
		flag := flags.Replace(key)
		switch {
		case key == "expect":
			flag = "--expect"
		case key == "tls_verify" && !*c.Verify:
			flag = "--no-verify"
		}
		if value := values[key]; value != "" {
			flag += " " + shellWord(value)
		}
		q.departs = append(q.departs, flag)
	}
	return nil
}

// readRoots returns the system's root certificates and those of a file.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	certificates, err := readPEM("--cacert", file)
	if err != nil {
		return nil, err
	}
	if err := triage.CheckCA(certificates); err != nil {
		return nil, usagef(triage.HintOf(err), "--cacert %s", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(certificates.Text())
	return roots, nil
}

// readPEM reads a file that a flag names.
func readPEM(flag, name string) (triage.PEM, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return triage.PEM{}, usagef("is the path right?", "%s %s: there is no such file", flag, name)
	}
	if err != nil {
		return triage.PEM{}, usagef("is it a file that you may read?", "%s: %s", flag, err)
	}
	return triage.NewPEM(name, text), nil
}
