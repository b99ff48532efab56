//go:build linux

package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// encrypted is the section about checks over HTTPS: a table for each sort of certificate.
func encrypted(w work, head string, kinds []protocol, tables [][]*row) section {
	var out strings.Builder
	out.WriteString(head)
	out.WriteString("The server is crypto/tls with its defaults: it hands out session tickets. \"Resumed\" is the part of the handshakes that took\n")
	out.WriteString("up an earlier session, as the server counted them; such a handshake needs no certificate, so its sort does not matter then.\n\n")
	out.WriteString("| certificate | checker | CPU per check | beside HAProxy | beside HAProxy without reuse | done / due | connections per check | resumed | TLS | start lag p99 | core used by others | server's CPU | its core busy |\n")
	out.WriteString("|---|---|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|\n")
	for i, rows := range tables {
		for _, r := range rows {
			out.WriteString(r.encryptedLine(kinds[i], find(rows, "haproxy"), find(rows, "haproxy-no-ssl-reuse")))
		}
	}
	out.WriteString("\n")
	for i, rows := range tables {
		fmt.Fprintf(&out, "%s: %s", kinds[i], roundsTable(rows))
	}
	for i, rows := range tables {
		for _, r := range rows {
			switch {
			case r.fault != nil:
				fmt.Fprintf(&out, "- Not measured with %s: %s\n", kinds[i], oneLine(r.fault.Error()))
			case i == 0:
				fmt.Fprintf(&out, "- %s: %s.\n", r.checker.name, r.checker.about)
			}
		}
	}
	out.WriteString("\n")
	for i, rows := range tables {
		out.WriteString(limits(kinds[i], rows))
	}
	return section{fmt.Sprintf("HTTPS: %s targets every %s", thousands(w.targets), w.interval), out.String()}
}

func (r *row) encryptedLine(kind protocol, haproxy, full *row) string {
	if len(r.samples) == 0 {
		return fmt.Sprintf("| %s | %s | - | - | - | - | - | - | - | - | - | - | - |\n", kind, r.checker.name)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %.1f %% | %.2f | %s | %s | %s | %.0f %% | %s | %.0f %% |\n",
		kind, r.checker.name, r.costOfCheck(), besideText(r, haproxy), besideText(r, full), 100*r.median(sample.share), r.median(sample.connections),
		r.resumed(), cmp.Or(r.samples[0].report.TLS, "-"), r.lag99(), 100*r.median(sample.others),
		r.serverCost(), 100*r.median(sample.serverBusy))
}

// serverCost is what a check cost the server; a dash if none was done.
func (r *row) serverCost() string {
	if r.median(func(s sample) float64 { return float64(s.done) }) == 0 {
		return "-"
	}
	return micros(r.medianTime(func(s sample) time.Duration { return s.server / time.Duration(max(s.done, 1)) }))
}

// resumed is the part of the handshakes that took up an earlier session.
func (r *row) resumed() string {
	if r.median(func(s sample) float64 { return float64(s.report.Handshakes) }) == 0 {
		return "no handshake"
	}
	return fmt.Sprintf("%.0f %%", 100*r.median(func(s sample) float64 {
		return float64(s.report.Resumed) / float64(max(s.report.Handshakes, 1))
	}))
}

// limits says where a figure is not that of the checker.
func limits(kind protocol, rows []*row) string {
	var out strings.Builder
	for _, r := range rows {
		if len(r.samples) == 0 {
			continue
		}
		if share := r.median(sample.share); share < 0.99 {
			fmt.Fprintf(&out, "- **%s, %s falls behind**: %.1f %% of the checks were done. Measure with fewer -https-targets.\n", kind, r.checker.name, 100*share)
		}
		if busy := r.median(sample.serverBusy); busy > 0.9 {
			fmt.Fprintf(&out, "- **%s, %s: the server limits**: its core was busy for %.0f %% of the time. Measure with fewer -https-targets.\n", kind, r.checker.name, 100*busy)
		}
	}
	if noise := noisiest(rows); noise > 0.1 {
		fmt.Fprintf(&out, "- **%s, noisy**: in one round other programs used %.0f %% of the core. Measure again on a quiet machine.\n", kind, 100*noise)
	}
	return out.String()
}
