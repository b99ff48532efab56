package probe

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// TestExpectations: what is wanted of an answer beyond its code.
func TestExpectations(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-App", "shop")
		w.Header().Add("X-App", "cart")
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Has("sick") {
			w.WriteHeader(503)
		}
		fmt.Fprintf(w, `{"ready": %v, "queue": 3, "pad": %q, "end": true}`, !r.URL.Query().Has("sick"), strings.Repeat("x", 5000))
	}))
	defer s.Close()
	for _, c := range []struct {
		path   string
		expect triage.Expect
		want   triage.Outcome
		detail string
	}{
		{"/", triage.Expect{}, triage.Matched, ""},
		{"/", triage.Expect{Header: "x-app"}, triage.Matched, ""},
		{"/", triage.Expect{Header: "X-App: cart"}, triage.Matched, ""},
		{"/", triage.Expect{Header: "X-App: car"}, triage.HeaderMismatch, `X-App is "shop", not "car"`},
		{"/", triage.Expect{Header: "X-Other"}, triage.HeaderMismatch, "there is no X-Other"},
		{"/", triage.Expect{Body: `"ready": true`}, triage.Matched, ""},
		{"/", triage.Expect{Body: `"ready": false`}, triage.BodyMismatch, `"\"ready\": false" is not in the content (`},
		{"/", triage.Expect{Body: `"end"`}, triage.Matched, ""},
		{"/", triage.Expect{Body: `"end"`, Within: 1000}, triage.BodyMismatch, `is not in the first 1000 bytes of the content`},
		{"/", triage.Expect{BodyRegex: `"queue": [0-9],`}, triage.Matched, ""},
		{"/", triage.Expect{BodyRegex: `"queue": [0-9]{2}`}, triage.BodyMismatch, `nothing matches "queue": [0-9]{2} in the content (`},
		{"/", triage.Expect{Expression: `json.ready && json.queue < 10 && header["x-app"].contains("cart")`}, triage.Matched, ""},
		{"/", triage.Expect{Expression: `json.queue > 10`}, triage.ExpressionFalse, ""},
		{"/", triage.Expect{Expression: `json.missing`}, triage.ExpressionFailed, "missing"},
		{"/", triage.Expect{Expression: `status == 200 && body.startsWith("{") && latency < duration("4s")`}, triage.Matched, ""},
		{"/", triage.Expect{Expression: `tls.version == "TLS 1.3" && tls.days_left > 1`}, triage.Matched, ""},
		{"/?sick", triage.Expect{Expression: `true`}, triage.CodeMismatch, ""},
	} {
		check := settings(triage.HTTPS)
		check.Path, check.Expect = c.path, c.expect
		x := do(t, s.Listener.Addr().String(), check)
		if x.Outcome != c.want || !strings.Contains(x.Detail, c.detail) {
			t.Errorf("%s %+v: %s (%s)", c.path, c.expect, x.Outcome, x.Detail)
		}
		if len(x.Body) > DefaultKeepBody {
			t.Errorf("%+v: the exchange keeps %d bytes", c.expect, len(x.Body))
		}
	}
}

// TestExpectationsThatCannotBeRead: whoever checks with one that is not valid sees why nothing passes.
func TestExpectationsThatCannotBeRead(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	for _, expect := range []triage.Expect{{BodyRegex: "("}, {Expression: "1 +"}} {
		check := settings(triage.HTTP)
		check.SuccessCodes, check.Expect = triage.MatchCodes(404, 404), expect
		if x := do(t, s.Listener.Addr().String(), check); x.Outcome != triage.ExpressionFailed || x.Detail == "" {
			t.Errorf("%+v: %s (%s)", expect, x.Outcome, x.Detail)
		}
	}
}

// TestExpressionThatIsStoppedIsNoFaultOfTheTarget: the time that it may take is up when this machine stands still. What
// takes that long for itself is found by its cost, but for what is reckoned too low, as here.
func TestExpressionThatIsStoppedIsNoFaultOfTheTarget(t *testing.T) {
	text := `{"list":[` + strings.Repeat("1,", 2000) + `1],"text":"` + strings.Repeat("a", 200<<10) + `"}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }))
	defer s.Close()
	check := settings(triage.HTTP)
	check.Expect = triage.Expect{Within: triage.MaxWithin, Expression: `json.list.all(x, json.list.all(y, timestamp(json.text) == timestamp(json.text) || true))`}
	if x := do(t, s.Listener.Addr().String(), check); x.Outcome != triage.CheckerLate || !strings.Contains(x.Detail, "takes too long") {
		t.Errorf("%s (%s)", x.Outcome, x.Detail)
	}
}
