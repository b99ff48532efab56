// Package e2e tests triage on the software it is made for: real nginx in
// front of real gunicorn, Django and PostgreSQL, and Amazon's own mock of the
// EC2 metadata service, each a process of its own on loopback. It asks real
// servers over HTTP/2, gRPC, TLS and the PROXY protocol (TestProtocols). And it
// holds the table of dialects to real checkers: what HAProxy, Caddy and
// blackbox_exporter put on the wire (TestWire), and how they judge
// (TestAgreement and its sisters).
//
// The package holds tests only. startStack is the way in: it starts three
// instances on 127.0.1.11 to 127.0.1.13 whose parts a test stops, starts and
// configures one by one. Nothing of the machine's own PostgreSQL or nginx is
// used but the programs; all files live in a temporary folder.
//
// The tests skip when a program is missing (install.sh installs them) and with
// -short; with CI=true a missing program fails them. A stack belongs to the test
// that started it, which ends it; its methods are for that test's goroutine and
// its subtests'. Stacks choose free ports, so two can stand side by side.
package e2e
