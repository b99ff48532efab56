package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage/internal/capture"
)

func TestLullText(t *testing.T) {
	who := netip.MustParseAddrPort("10.0.0.9:4000")
	for _, tt := range []struct {
		lull capture.Lull
		says []string
	}{
		{capture.Lull{For: time.Minute, Listening: true}, []string{"nobody connected to :80 in 1m0s", "security groups"}},
		{capture.Lull{For: time.Minute}, []string{"security groups", "no process listens"}},
		{capture.Lull{For: time.Minute, Others: 3, Listening: true}, []string{"no load balancer's check in 1m0s", "3 other requests"}},
		{capture.Lull{For: time.Minute, Knocking: 2, Who: who, Listening: true}, []string{"2 connections", "10.0.0.9:4000", "firewall"}},
		{capture.Lull{For: time.Minute, Knocking: 1, Who: who}, []string{"1 connection ", "no process listens"}},
	} {
		for _, s := range tt.says {
			if got := lullText(tt.lull, ":80"); !strings.Contains(got, s) {
				t.Errorf("%+v: %q lacks %q", tt.lull, got, s)
			}
		}
	}
}

func TestListenPeer(t *testing.T) {
	p := capture.Peer{Time: time.Unix(0, 0), Peer: netip.MustParseAddrPort("10.0.0.9:4000"), Local: netip.MustParseAddrPort("10.0.1.5:80"), State: "TIME-WAIT"}
	for _, tt := range []struct {
		json bool
		want string
	}{
		{false, "10.0.0.9:4000  connected to 10.0.1.5:80 (TIME-WAIT)\n"},
		{true, `"schema":"triage.listen/1","kind":"connection","time":"`},
	} {
		var b bytes.Buffer
		r := &listenReport{out: &terminal{w: &b}, json: tt.json}
		if err := r.peer(p); err != nil || !strings.Contains(b.String(), tt.want) {
			t.Errorf("%q, %v", b.String(), err)
		}
	}
}

func TestListenTapRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--tap", ":80", "--forward", "127.0.0.1:1"},
		{"--tap", ":80", "--raw", "f"},
		{"--tap", "mysite:80"},
		{"--tap", ":0"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"listen"}, args...), func(string) string { return "" }, nil, &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), "hint:") {
			t.Errorf("%v: exit code %d, %q", args, code, stderr.String())
		}
	}
}
