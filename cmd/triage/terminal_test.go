package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/capture"
)

// TestErrorsFitTheTerminal: prose is broken at spaces, and never a command that people copy, nor a path.
func TestErrorsFitTheTerminal(t *testing.T) {
	var out bytes.Buffer
	env := &environment{ctx: t.Context(), getenv: func(string) string { return "" }, stdout: &out, stderr: &out}
	command := "    " + strings.Repeat("sudo setcap ", 8) + "x"
	path := "/" + strings.Repeat("long/", 20)
	env.fail(&triage.Error{
		Kind:    triage.KindInvalid,
		Message: strings.Repeat("what happened, and where ", 6) + "in " + path + " it was",
		Hint:    "allow  it\n" + command + "\nor " + strings.Repeat("do something else ", 8),
	})
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > lineWidth && !strings.Contains(line, path) && !strings.Contains(line, command) {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{"\n        where ", "\nhint: allow  it\n      " + command + "\n      or do", "else\n      do something "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}

// TestWrapKeepsOptions: a command that is broken after an option cannot be copied.
func TestWrapKeepsOptions(t *testing.T) {
	for text, want := range map[string]string{
		"as in --path /up":     "as in\n--path /up",
		"as in --path":         "as in\n--path",
		"it is --path /up yes": "it is\n--path /up\nyes",
		"a long-long-word":     "a long-long-word",
	} {
		if got := wrap(text, 11, ""); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestExcerptInColour: the note about the lines that are left out was escaped, as if a target had sent it.
func TestExcerptInColour(t *testing.T) {
	var b bytes.Buffer
	excerpt(&terminal{w: &b, colour: true}, "one\ntwo\nthree\n", 1)
	if want := "one\n           \x1b[2m… 2 more lines\x1b[0m\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// TestBriefRecord: the demo says that there are remarks, not what they say.
func TestBriefRecord(t *testing.T) {
	var b bytes.Buffer
	r := &listenReport{out: &terminal{w: &b}, brief: true}
	if err := r.add(capture.Record{Remarks: []string{"a long story"}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "Note       …\n") || strings.Contains(b.String(), "story") {
		t.Errorf("%s", &b)
	}
}

// TestCheckQuotesTheAnswer: "this host is not served here" explains more than 400 does.
func TestCheckQuotesTheAnswer(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/json" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(503)
			io.WriteString(w, `{"status":"DOWN"}`)
			return
		}
		http.Error(w, "this host is not served here\x1b]0;owned\x07", 400)
	}))
	r := runTriage(t, nil, "check", address)
	if said := joined(r.stdout); !strings.Contains(said, `success codes; it says "this host is not served here\x1b]0;owned\a"`) ||
		!strings.Contains(r.stdout, "\nCould be   ") || !strings.Contains(r.stdout, "\nDecide     ") {
		t.Errorf("stdout:\n%s", r.stdout)
	}
	if r := runTriage(t, nil, "check", address+"/json"); !strings.Contains(joined(r.stdout), "it says `{\"status\":\"DOWN\"}`") {
		t.Errorf("stdout:\n%s", r.stdout)
	}
}

// TestCheckDoesNotClaimWhatIsNotProved: every Host is refused, so ALLOWED_HOSTS is a guess.
func TestCheckDoesNotClaimWhatIsNotProved(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		io.WriteString(w, "<h1>Bad Request (400)</h1>")
	}))
	r := runTriage(t, nil, "check", address)
	if strings.Contains(r.stdout, "\nCause") || !strings.Contains(r.stdout, "\nProbably   Django refuses Host ") ||
		!strings.Contains(joined(r.stdout), "--public-host and a name from ALLOWED_HOSTS; a 200 proves it") {
		t.Errorf("stdout:\n%s", r.stdout)
	}
}
