package main

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

// check is the settings of a health check in one sentence.
func check(h control.HealthCheckView) string {
	s := "checked "
	if h.As != "" {
		s += "as " + string(h.As) + " "
	}
	s += "over " + string(h.Protocol)
	if h.Port != "traffic-port" {
		s += ", port " + h.Port
	}
	if h.Path != "" {
		s += ", " + h.Path
	}
	if h.Service != "" {
		s += ", service " + h.Service
	}
	if codes := cmp.Or(h.GRPCCodes, h.SuccessCodes); codes != "" {
		s += " for " + codes
	}
	if h.Host != "" {
		s += ", Host " + h.Host
	}
	for _, w := range wanted(h) {
		s += ", " + w
	}
	s += ", every " + h.Interval
	if h.UnhealthyInterval != "" {
		s += ", " + h.UnhealthyInterval + " while unhealthy"
	}
	if h.TransitionInterval != "" {
		s += ", " + h.TransitionInterval + " while changing"
	}
	if h.Jitter != "" {
		s += ", jitter " + h.Jitter
	}
	s += fmt.Sprintf(", timeout %s, out after %d, back after %d", h.Timeout, h.UnhealthyThreshold, h.HealthyThreshold)
	if h.ThresholdWindow != 0 {
		s += fmt.Sprintf(" of the last %d", h.ThresholdWindow)
	}
	if h.HoldDown != "" {
		s += fmt.Sprintf(", held down for %s to %s when it returns twice in %s", h.HoldDown, h.HoldDownLimit, h.HoldDownWindow)
	}
	if h.ReuseConnection {
		s += ", connection kept"
	}
	return s
}

// wanted is what a check wants of an answer beyond its code, and how it is connected, where that is not as usual.
func wanted(h control.HealthCheckView) []string {
	var said []string
	for _, w := range []struct{ what, value string }{
		{"expecting header", h.ExpectHeader}, {"expecting text", h.ExpectBody}, {"expecting match of", h.ExpectBodyRegex}, {"expecting", h.Expect},
		{"SNI", h.TLSServerName}, {"trusting", h.TLSCAFile}, {"showing", h.TLSCertFile}, {"TLS from", h.TLSMinVersion},
		{"PROXY", h.ProxyProtocol}, {"from", h.SourceAddress},
	} {
		if w.value != "" {
			said = append(said, w.what+" "+shorten(w.value, lineWidth/2))
		}
	}
	if h.TLSVerify != nil {
		said = append(said, map[bool]string{true: "certificate verified", false: "certificate not verified"}[*h.TLSVerify])
	}
	return said
}

// nextCheck is the command that asks a target as the group does and says more, in words that stay whole: none if the
// target has no address.
func nextCheck(h control.HealthCheckView, t control.TargetStatus) []string {
	if t.Address == "" {
		return nil
	}
	address := t.Address
	if host, _, err := net.SplitHostPort(address); err == nil && h.Port != "traffic-port" {
		address = net.JoinHostPort(host, h.Port)
	}
	command := []string{"triage check", "--as " + string(cmp.Or(h.As, triage.Own))}
	codes := cmp.Or(h.GRPCCodes, h.SuccessCodes)
	if h.As != "" || codes == "200" || codes == "0" {
		codes = ""
	}
	for _, f := range []struct{ name, value string }{
		{"--host", h.Host}, {"--service", h.Service}, {"--success-codes", codes},
		{"--expect-header", h.ExpectHeader}, {"--expect-body", h.ExpectBody}, {"--expect-regex", h.ExpectBodyRegex}, {"--expect", h.Expect},
		{"--server-name", h.TLSServerName}, {"--cacert", h.TLSCAFile}, {"--cert", h.TLSCertFile}, {"--key", h.TLSKeyFile}, {"--tls-min", h.TLSMinVersion},
		{"--proxy-protocol", h.ProxyProtocol}, {"--source", h.SourceAddress},
	} {
		if f.value != "" {
			command = append(command, f.name+" "+shellWord(f.value))
		}
	}
	if h.TLSVerify != nil {
		command = append(command, map[bool]string{true: "--verify", false: "--no-verify"}[*h.TLSVerify])
	}
	return append(command, shellWord(string(h.Protocol)+"://"+address+h.Path))
}

// commandLines puts the words of a command into lines of at most width columns, as a shell takes them.
func commandLines(command []string, width int) []string {
	const more = ` \`
	var lines []string
	for _, word := range command {
		last := len(lines) - 1
		switch {
		case last >= 0 && utf8.RuneCountInString(lines[last]+" "+word+more) <= width:
			lines[last] += " " + word
		case last >= 0:
			lines[last] += more
			fallthrough
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// located is a check whose files are named so that they are found from anywhere.
func located(h control.HealthCheckView, folder string) control.HealthCheckView {
	for _, file := range []*string{&h.TLSCAFile, &h.TLSCertFile, &h.TLSKeyFile} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(folder, *file)
		}
	}
	return h
}

// shellWord is a word as a shell has to be given it.
func shellWord(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return strings.ContainsRune(" &;|<>()$`\\\"'*?[]#~!{}", r) }) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}
