package diagnose

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/triage-lb/triage"
)

// TestCatalogueIsWellFormed: what each entry must have, and how its texts are written.
func TestCatalogueIsWellFormed(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	stages := []Stage{
		StageResolve, StageConnect, StageTLS, StageHTTP, StageStatus, StageRedirect, StageHost, StageAuth, StageBody,
		StageTiming, StageFlapping, StageFalsePositive,
	}
	seen, last := map[string]bool{Undiagnosed: true}, -1
	for _, e := range Entries() {
		fail := func(format string, args ...any) { t.Errorf(e.Code+": "+format, args...) }
		if !kebab.MatchString(e.Code) || seen[e.Code] {
			fail("the code is not kebab-case, or is there twice")
		}
		seen[e.Code] = true
		switch at := slices.Index(stages, e.Stage); {
		case at < 0:
			fail("stage %q", e.Stage)
		case at < last:
			fail("stage %s comes after %s", e.Stage, stages[last])
		default:
			last = at
		}
		if (e.Severity == Warning) != e.green() {
			fail("severity %q in stage %s", e.Severity, e.Stage)
		}
		if e.Unseen != (e.match == nil) || e.Unseen && e.prove != nil {
			fail("unseen %v, match %v, prove %v", e.Unseen, e.match != nil, e.prove != nil)
		}
		if e.prove != nil && e.Decides == "" {
			fail("it asks a question, and does not say which")
		}
		if len(e.Fixes) == 0 || len(e.Sources) == 0 || e.Seen == "" {
			fail("%d fixes, %d sources, seen %q", len(e.Fixes), len(e.Sources), e.Seen)
		}
		for name, text := range map[string]string{"title": e.Title, "seen": e.Seen, "cause": e.Cause, "decides": e.Decides, "wrong fix": e.Wrong.Fix, "its cost": e.Wrong.Cost} {
			if strings.HasSuffix(text, ".") || strings.Contains(text, "!") || strings.Contains(text, "\n") {
				fail("%s: a sentence without an end, on one line: %q", name, text)
			}
			checkPlaceholders(t, e.Code, text)
		}
		if e.Title == "" || e.Cause == "" {
			fail("title %q, cause %q", e.Title, e.Cause)
		}
		for _, code := range e.Covers {
			if _, known := Lookup(code); !known || code == e.Code {
				fail("it covers %s, and there is no other entry of that code", code)
			}
		}
		software := map[string]bool{}
		for _, f := range e.Fixes {
			if software[f.For] || f.Do == "" {
				fail("fix for %q is empty or there twice", f.For)
			}
			software[f.For] = true
			checkPlaceholders(t, e.Code, f.Do)
			for line := range strings.SplitSeq(f.Do, "\n") {
				if utf8.RuneCountInString(line) > 69 {
					fail("fix for %q: a line has %d columns: %s", f.For, utf8.RuneCountInString(line), line)
				}
			}
		}
		if (e.Wrong.Fix == "") != (e.Wrong.Cost == "") {
			fail("a wrong fix and its cost belong together")
		}
	}
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

func checkPlaceholders(t *testing.T, code, text string) {
	t.Helper()
	for _, p := range placeholder.FindAllString(text, -1) {
		if !slices.Contains(placeholders[:], strings.Trim(p, "{}")) {
			t.Errorf("%s: nothing fills %s in %q", code, p, text)
		}
	}
}

// TestPhrases: what vendors show, and what it stands for.
func TestPhrases(t *testing.T) {
	for text, want := range map[string]struct {
		outcome triage.Outcome
		status  int
		code    string
	}{
		"Health checks failed with these codes: [400]":    {triage.CodeMismatch, 400, ""},
		"health checks failed with\n these codes:  [301]": {triage.CodeMismatch, 301, ""},
		"Target.Timeout":   {triage.ConnectTimeout, 0, ""},
		"L7STS/301 in 1ms": {triage.CodeMismatch, 301, ""},
		"Readiness probe failed: HTTP probe failed with statuscode: 400":                                                            {triage.CodeMismatch, 400, ""},
		"Instance has failed at least the UnhealthyThreshold number of health checks consecutively.":                                {triage.NotChecked, 0, ""},
		`Health check for server be/srv failed, reason: Layer7 wrong status, code: 503, info: "x"`:                                  {triage.CodeMismatch, 503, ""},
		`Get "http://10.0.0.1": net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01\x00\x02\x02"`: {triage.NotChecked, 0, "plain-http-to-tls-port"},
		"2026/01/01 [error] broken header: \"GET / HTTP/1.1\" while reading PROXY protocol":                                         {triage.NotChecked, 0, "proxy-header-expected"},
	} {
		r, ok := Read(text)
		if !ok || r.Outcome != want.outcome || r.Status != want.status || r.Code != want.code {
			t.Errorf("%q: %+v, %v", text, r, ok)
		}
	}
	if r, ok := Read("the weather is fine"); ok {
		t.Errorf("read %+v", r)
	}
	for _, p := range phrases {
		if _, known := Lookup(p.reading.Code); p.reading.Code != "" && !known {
			t.Errorf("%s leads to %q, which is not in the catalogue", p.pattern, p.reading.Code)
		}
		if p.reading.Code == "" && p.reading.Outcome == triage.NotChecked && p.reading.Means == "" {
			t.Errorf("%s means nothing", p.pattern)
		}
	}
}

// TestWhatA400MayBe: the string that most people hold leads to causes, the likeliest first.
func TestWhatA400MayBe(t *testing.T) {
	r, _ := Read("Health checks failed with these codes: [400]")
	var codes []string
	for _, e := range r.Suspects() {
		codes = append(codes, e.Code)
	}
	if len(codes) < 2 || !slices.Contains(codes, "host-not-allowed") || !slices.Contains(codes, "plain-http-to-tls-port") {
		t.Errorf("suspects %q", codes)
	}
}

// TestPasted: what people copy from terminals.
func TestPasted(t *testing.T) {
	codes := triage.MatchCodes(200, 200)
	for name, c := range map[string]struct {
		text   string
		status int
		code   string
	}{
		"curl -i":              {"HTTP/1.1 400 Bad Request\nContent-Type: text/html\n\n<h1>Bad Request (400)</h1>\n", 400, "host-not-allowed"},
		"curl -i over HTTP/2":  {"HTTP/2 301 \r\nlocation: https://shop.example/health\r\n\r\n", 301, "redirect-to-https"},
		"curl -v":              {"*   Trying 10.0.0.5:80...\n* Connected\n> GET /health HTTP/1.1\n> Host: 10.0.0.5\n>\n< HTTP/1.1 301 Moved Permanently\n< Location: https://10.0.0.5/health\n<\n* Closing connection\n", 301, "redirect-to-https"},
		"a head and no more":   {"HTTP/1.1 301 Moved\nLocation: https://10.0.0.5/health", 301, "redirect-to-https"},
		"behind a prompt":      {"$ curl -i http://10.0.0.5/health\nHTTP/1.1 301 Moved\r\nLocation: https://10.0.0.5/health\r\n\r\n", 301, "redirect-to-https"},
		"indented":             {"\n    HTTP/1.1 301 Moved\n    Location: https://10.0.0.5/health\n\n", 301, "redirect-to-https"},
		"from an editor":       {"\ufeffHTTP/1.1 301 Moved\nLocation: https://10.0.0.5/health\n\n", 301, "redirect-to-https"},
		"with the request too": {"GET /health HTTP/1.1\nHost: 10.0.0.5\n\nHTTP/1.1 301 Moved\nLocation: https://10.0.0.5/health\n\n", 301, "redirect-to-https"},
	} {
		x, err := Pasted([]byte(c.text), codes)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := Look(x); x.Status != c.status || d == nil || d.Code != c.code {
			t.Errorf("%s: %d, %+v", name, x.Status, d)
		}
	}
	if x, err := Pasted([]byte("HTTP/1.1 200 OK\n\nfine"), codes); err != nil || Look(x) != nil {
		t.Errorf("a pass: %v", err)
	}
	for _, bad := range []string{"", "hello", "curl: (52) Empty reply from server", "HTTP/1.1\n\n", "HTTP/9 x\n", "\x00\x01"} {
		if x, err := Pasted([]byte(bad), codes); err == nil {
			t.Errorf("%q was read as %d", bad, x.Status)
		}
	}
}

// TestPastedWithoutItsRequest: nobody knows which Host was sent, so nobody says that it was none.
func TestPastedWithoutItsRequest(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 400 Bad Request\n\n<h1>Bad Request (400)</h1>\n",
		"HTTP/1.1 400 Bad Request\n\nInvalid host header",
		"HTTP/1.1 404 Not Found\n\n{\"message\":\"Bad hostname provided.\"}",
	} {
		x, err := Pasted([]byte(answer), triage.MatchCodes(200, 200))
		if err != nil {
			t.Fatal(err)
		}
		for _, as := range []triage.Dialect{"", triage.Envoy, triage.AzureAppGW} {
			x.Dialect = as
			d := Look(x)
			if d.Stage != string(StageHost) || !strings.Contains(d.Cause, "a Host that the server does not know") {
				t.Errorf("%q as %s: %s, %q", answer, as, d.Code, d.Cause)
			}
		}
	}
}

func FuzzPasted(f *testing.F) {
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\nx"))
	f.Add([]byte("> GET / HTTP/1.1\n< HTTP/2 301\n< location: x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if x, err := Pasted(text, triage.MatchCodes(200, 200)); err == nil {
			Look(x)
		}
	})
}
