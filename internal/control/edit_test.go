package control

import (
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// web is the listener of files that are about groups.
const web = "listeners: [{name: web, listen: \":8080\", default: {forward: app}}]\n"

// TestEditsLookLikeThePersonsOwn shows what each edit makes of each style. Each pair is the part of the file
// under "groups:\n  - name: app\n" before and after.
func TestEditsLookLikeThePersonsOwn(t *testing.T) {
	text := func(s string) *string { return &s }
	three, yes, no := 3, true, false
	check := func(e HealthCheckEdit) func(*File) (change, error) {
		return func(f *File) (change, error) { return f.setHealthCheck("app", e) }
	}
	add := func(t triage.Target) func(*File) (change, error) {
		return func(f *File) (change, error) { return f.addTarget("app", t) }
	}
	remove := func(id triage.TargetID) func(*File) (change, error) {
		return func(f *File) (change, error) { return f.removeTarget("app", id) }
	}
	drain := func(id triage.TargetID, drain bool) func(*File) (change, error) {
		return func(f *File) (change, error) { return f.drainTarget("app", id, drain) }
	}
	toHTTP := HealthCheckEdit{Protocol: text("http"), Path: text("/health_check"), SuccessCodes: text("200"), HealthyThreshold: &three}
	for _, c := range []struct {
		name          string
		edit          func(*File) (change, error)
		before, after string
	}{
		{"no health check", check(toHTTP), "",
			"    health_check:\n      protocol: http\n      path: /health_check\n      success_codes: \"200\"\n      healthy_threshold: 3\n"},
		{"no value", check(toHTTP), "    health_check: # soon\n    none_healthy: \"503\"\n",
			"    health_check: # soon\n      protocol: http\n      path: /health_check\n      success_codes: \"200\"\n      healthy_threshold: 3\n    none_healthy: \"503\"\n"},
		{"{}", check(HealthCheckEdit{Path: text("/a"), Port: text("8443")}), "    health_check: {} # soon\n", "    health_check: {port: 8443, path: /a} # soon\n"},
		{"null", check(HealthCheckEdit{Path: text("/a")}), "    health_check: ~ # soon\n", "    health_check: {path: /a} # soon\n"},
		{"quotes", check(HealthCheckEdit{Path: text("/b"), Host: text("b.org"), SuccessCodes: text("204")}),
			"    health_check: {path: \"/a\", host: 'a.org', success_codes: 200}\n", "    health_check: {path: \"/b\", host: 'b.org', success_codes: \"204\"}\n"},
		{"needs quotes", check(HealthCheckEdit{Path: text("/a,b"), Host: text("")}), "    health_check: {path: /a}\n", "    health_check: {path: \"/a,b\", host: \"\"}\n"},
		{"default said", check(HealthCheckEdit{Protocol: text("tcp")}), "    health_check:\n      interval: 9s\n", "    health_check:\n      interval: 9s\n      protocol: tcp\n"},
		{"key without value", check(HealthCheckEdit{Path: text("/a")}), "    health_check:\n      path: # what?\n      port: 80\n", "    health_check:\n      path: /a # what?\n      port: 80\n"},
		{"pace", check(HealthCheckEdit{Interval: text("10s"), UnhealthyInterval: text("1m"), Jitter: text("500ms"), ReuseConnection: &yes}),
			"    health_check:\n      interval: 5s # all day\n", "    health_check:\n      interval: 10s # all day\n      unhealthy_interval: 1m\n      jitter: 500ms\n      reuse_connection: true\n"},
		{"pace in flow", check(HealthCheckEdit{TransitionInterval: text("3s"), ReuseConnection: &no}),
			"    health_check: {transition_interval: '4s', reuse_connection: True}\n", "    health_check: {transition_interval: '3s', reuse_connection: false}\n"},
		{"as", check(HealthCheckEdit{As: text("alb")}), "    health_check: {protocol: http, interval: 9s} # ours\n", "    health_check: {protocol: http, interval: 9s, as: alb} # ours\n"},
		{"as ours again", check(HealthCheckEdit{As: text("triage")}), "    health_check:\n      as: aws-clb # for now\n      timeout: 2s\n", "    health_check:\n      as: triage # for now\n      timeout: 2s\n"},
		{"as another by its default", check(HealthCheckEdit{As: text("aws-clb"), Interval: text("30s")}), "    health_check:\n      as: aws-alb\n", "    health_check:\n      as: aws-clb\n      interval: 30s\n"},
		{"as from the environment", check(HealthCheckEdit{As: text("alb")}), "    health_check: {as: \"${LB}\"}\n", "    health_check: {as: \"alb\"}\n"},
		{"from the environment", check(HealthCheckEdit{Path: text("/a")}), "    health_check: {path: \"/${HOST}\"}\n", "    health_check: {path: \"/a\"}\n"},

		{"add", add(triage.Target{ID: "b:2"}), "    targets:\n    - a:1 # one\n    # end\n", "    targets:\n    - a:1 # one\n    - b:2\n    # end\n"},
		{"add with weight", add(triage.Target{ID: "[::1]:2", Weight: 2}), "    targets:\n      - a:1", "    targets:\n      - a:1\n      - {address: \"[::1]:2\", weight: 2}"},
		{"add in flow", add(triage.Target{ID: "b:2"}), "    targets: [a:1] # one\n", "    targets: [a:1, b:2] # one\n"},
		{"add the first", add(triage.Target{ID: "b:2"}), "    targets: []\n", "    targets: [b:2]\n"},
		{"add without targets", add(triage.Target{ID: "b:2"}), "    protocol: http # all\n", "    protocol: http # all\n    targets:\n      - b:2\n"},

		{"remove", remove("b:2"), "    targets:\n      - a:1 # one\n      # two:\n      - b:2 # two\n      - c:3\n", "    targets:\n      - a:1 # one\n      # two:\n      - c:3\n"},
		{"remove a mapping", remove("a:1"), "    targets:\n      - address: a:1\n        weight: 2 # big\n\n      - b:2\n", "    targets:\n\n      - b:2\n"},
		{"remove the last one", remove("a:1"), "    targets: # all\n      # now:\n      - a:1\n", "    targets: [] # all\n      # now:\n"},
		{"remove in flow, first", remove("a:1"), "    targets: [a:1, b:2]\n", "    targets: [b:2]\n"},
		{"remove in flow, last", remove("b:2"), "    targets: [a:1, b:2]\n", "    targets: [a:1]\n"},
		{"remove in flow, only", remove("a:1"), "    targets: [ a:1, ]\n", "    targets: [ ]\n"},
		{"remove in flow, own line", remove("b:2"), "    targets: [\n      a:1, # one\n      b:2, # two\n      c:3  # three\n    ]\n", "    targets: [\n      a:1, # one\n      c:3  # three\n    ]\n"},
		{"remove in flow, last line", remove("c:3"), "    targets: [\n      a:1, # one\n      c:3  # three\n    ]\n", "    targets: [\n      a:1, # one\n    ]\n"},

		{"drain", drain("a:1", true), "    targets:\n      - a:1 # one\n", "    targets:\n      - {address: a:1, drain: true} # one\n"},
		{"drain quoted", drain("[::1]:1", true), "    targets: ['[::1]:1']\n", "    targets: [{address: '[::1]:1', drain: true}]\n"},
		{"drain from the environment", drain("10.0.0.1:80", true), "    targets:\n      - ${HOST}:80\n", "    targets:\n      - {address: \"${HOST}:80\", drain: true}\n"},
		{"drain a mapping", drain("a:1", true), "    targets:\n      - address: a:1 # one\n        weight: 2\n      - b:2\n", "    targets:\n      - address: a:1 # one\n        weight: 2\n        drain: true\n      - b:2\n"},
		{"drain again", drain("a:1", true), "    targets: [{address: a:1, drain: false}]\n", "    targets: [{address: a:1, drain: true}]\n"},
		{"undrain", drain("a:1", false), "    targets: [{address: a:1, drain: true, weight: 2}]\n", "    targets: [{address: a:1, weight: 2}]\n"},
		{"undrain a mapping", drain("a:1", false), "    targets:\n      - address: a:1\n        drain: true # for now\n        weight: 2\n", "    targets:\n      - address: a:1\n        weight: 2\n"},
		{"undrain behind the dash", drain("a:1", false), "    targets:\n      - drain: true # for now\n        address: a:1\n", "    targets:\n      - drain: false # for now\n        address: a:1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const head = web + "groups:\n  - name: app\n"
			for _, eol := range []string{"\n", "\r\n"} {
				lines := strings.NewReplacer("\n", eol)
				f, err := Parse("f", []byte(lines.Replace(head+c.before)), env)
				if err != nil {
					t.Fatal(err)
				}
				planned, err := c.edit(f)
				if err != nil {
					t.Fatal(err)
				}
				edited, err := f.apply(planned)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := string(edited.whole()), lines.Replace(head+c.after); got != want {
					t.Errorf("got\n%q\nwant\n%q", got, want)
				}
			}
		})
	}
}

// TestEditsThatOnlyAPersonCanMake: what is written over several lines in a block scalar is refused, not mangled.
func TestEditsThatOnlyAPersonCanMake(t *testing.T) {
	f, err := Parse("f", []byte(web+"groups:\n  - name: app\n    targets:\n      - a:1\n      - >-\n        b:2\n    health_check:\n      path: |-\n        /a\n"), env)
	if err != nil {
		t.Fatal(err)
	}
	path := "/b"
	for _, plan := range []func() (change, error){
		func() (change, error) { return f.setHealthCheck("app", HealthCheckEdit{Path: &path}) },
		func() (change, error) { return f.removeTarget("app", "b:2") },
		func() (change, error) { return f.drainTarget("app", "b:2", true) },
	} {
		c, err := plan()
		if err != nil {
			t.Fatal(err)
		}
		if c.none() {
			t.Error("said to be no change")
		}
		if _, err := f.apply(c); err == nil || !strings.Contains(triage.HintOf(err), "by hand") {
			t.Errorf("got %v", err)
		}
	}
}

// TestWrongEditsAreSaidOnce: keys of TLS come in packs, and what is wrong with them is one thing.
func TestWrongEditsAreSaidOnce(t *testing.T) {
	f, err := Parse("f", []byte(web+"groups:\n  - name: app\n    health_check: {protocol: https, tls_server_name: a.example, tls_verify: true, expect: tls.days_left > 3}\n"), env)
	if err != nil {
		t.Fatal(err)
	}
	protocol := "http"
	_, err = f.setHealthCheck("app", HealthCheckEdit{Protocol: &protocol})
	const tls = "tls_server_name, tls_verify mean nothing to a check over http, which is not encrypted"
	if err == nil || !strings.HasPrefix(err.Error(), tls+"; expect: ") || strings.Count(triage.HintOf(err), "or remove it") != 1 {
		t.Errorf("got %v, hint %q", err, triage.HintOf(err))
	}
}

// TestAWrongSpliceIsNotWritten: the last line of defence is to read the result again.
func TestAWrongSpliceIsNotWritten(t *testing.T) {
	f, err := Parse("f", []byte(web+"groups:\n  - name: app\n"), env)
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.addTarget("app", triage.Target{ID: "a:1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"x", "", "\n    targets: [b:1]"} {
		c.splices = []splice{{len(f.src) - 1, len(f.src), wrong}}
		if _, err := f.apply(c); triage.KindOf(err) != triage.KindDenied || triage.HintOf(err) == "" {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ name, a, b, want string }{
		{"same", "a\n", "a\n", ""},
		{"middle", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\ny\n8\n9\n", "@@ -2,8 +2,8 @@\n 2\n 3\n 4\n-5\n+x\n 6\n-7\n+y\n 8\n 9\n"},
		{"no last line end", "a", "a\nb", "@@ -1,1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n\\ No newline at end of file\n"},
		{"all gone", "a\n", "", "@@ -1,1 +0,0 @@\n-a\n"},
	} {
		want := c.want
		if want != "" {
			want = "--- f\n+++ f\n" + want
		}
		if got := diff("f", []byte(c.a), []byte(c.b)); got != want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

func TestChangesAreSaid(t *testing.T) {
	parse := func(s string) triage.Config {
		f, err := Parse("f", []byte(s), env)
		if err != nil {
			t.Fatal(err)
		}
		return f.Config
	}
	old := parse("listeners: [{name: a, listen: \":1\", default: {forward: app}}, {name: b, listen: \":2\", default: {forward: app}}]\ngroups: [{name: app, targets: [a:1, b:2]}, {name: old}]\n")
	news := parse("allow_targets: [10.0.0.1]\nlisteners: [{name: a, listen: \":3\", default: {forward: app}}, {name: c, listen: \":4\", default: {forward: app}}]\ngroups: [{name: app, idle_timeout: 9s, targets: [{address: b:2, drain: true}, \"c:3\"], health_check: {protocol: http}}, {name: new}]\n")
	equal(t, "changes", changesBetween(old, news), []string{
		"listener a changed", "listener c added", "listener b removed",
		"group app: 1 targets added, 1 removed, 1 changed", "group app: health check changed", "group app: idle_timeout 9s, was 1m",
		"group new added", "group old removed", "allow_targets changed",
	})
	equal(t, "none", changesBetween(old, old), []string{"comments or layout only"})
}
