package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// TestBadRequests shows what a client is told about a request that does not fit.
func TestBadRequests(t *testing.T) {
	s, control := start(t, Config{})
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		detail, hint             string
	}{
		{"unknown field", "PATCH", "/v1/groups/app/health-check", `{"pth":"/"}`, 422, `unknown field "pth"`, "did you mean path?"},
		{"wrong type", "PATCH", "/v1/groups/app/health-check", `{"healthy_threshold":"2"}`, 422, "healthy_threshold: expected integer", ""},
		{"two faults", "PATCH", "/v1/groups/app/health-check", `{"path":1,"interval":2}`, 422, "expected string; ", ""},
		{"missing field", "POST", "/v1/groups/app/targets", `{}`, 422, "target", ""},
		{"weight out of range", "POST", "/v1/groups/app/targets", `{"target":"a:1","weight":257}`, 422, "weight: expected number <= 256", ""},
		{"no body", "POST", "/v1/groups/app/targets", ``, 400, "request body is required", ""},
		{"broken JSON", "PATCH", "/v1/groups/app/health-check", `{"path":`, 400, "unexpected end of JSON input", ""},
		{"two values", "PATCH", "/v1/groups/app/health-check", `{"path":"/"}{}`, 400, "after top-level value", ""},
		{"not an object", "PATCH", "/v1/groups/app/health-check", `[]`, 422, "expected object", ""},
		{"body where none is meant", "POST", "/v1/groups/app/targets/a:1/drain", `{"drain":false}`, 422, `unknown field "drain"`, ""},
		{"too large", "PATCH", "/v1/groups/app/health-check", `{"path":"` + strings.Repeat("x", maxBody) + `"}`, 413, "too large", ""},
		{"unknown query", "GET", "/v1/status?grup=app", ``, 422, "query.grup: unknown query parameter", ""},
		{"unknown path", "GET", "/v1/statu", ``, 404, "there is nothing at /v1/statu", "/openapi.json lists what there is"},
		{"huma's page of scripts", "GET", "/docs", ``, 404, "there is nothing at /docs", ""},
		{"wrong method", "POST", "/v1/status", `{}`, 405, "/v1/status does not take POST", "it takes GET, HEAD"},
		{"unknown group of a scrape", "GET", "/metrics?targets=app&targets=ap", ``, 404, `there is no group "ap"`, "did you mean app?"},
		{"unknown query of a scrape", "GET", "/metrics?target=app", ``, 422, "query.target: unknown query parameter", ""},
		{"scrape that edits", "POST", "/metrics", `{}`, 405, "/metrics does not take POST", "it takes GET, HEAD"},
		{"unknown metric", "GET", "/metrics?name[]=up&name[]=dwn", ``, 404, `there is no metric "dwn"`, ""},
		{"unknown group", "GET", "/v1/status?group=ap", ``, 404, `there is no group "ap"`, "did you mean app?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, p := request(t, s, tt.method, tt.path, tt.body, map[string]string{"Content-Type": "application/json"})
			if resp.StatusCode != tt.status || p.Status != tt.status {
				t.Errorf("status %d and %d, want %d", resp.StatusCode, p.Status, tt.status)
			}
			if !strings.Contains(p.Detail, tt.detail) {
				t.Errorf("detail %q does not say %q", p.Detail, tt.detail)
			}
			if tt.hint != "" && p.Hint != tt.hint {
				t.Errorf("hint %q, want %q", p.Hint, tt.hint)
			}
			if len(p.Detail) > 200 {
				t.Errorf("detail echoes the request: %d bytes", len(p.Detail))
			}
			if asked := control.last(); asked != "" {
				t.Errorf("control was asked: %s", asked)
			}
		})
	}
}

// TestNoRouteBeforeNoJSON: what a path does not take is said first. Nobody should add a header to a request that is
// wrong with it, too.
func TestNoRouteBeforeNoJSON(t *testing.T) {
	s, _ := start(t, Config{})
	for _, path := range []string{"/metrics", "/v1/status", "/livez"} {
		resp, p := request(t, s, http.MethodPost, path, "x=y", map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
		if resp.StatusCode != http.StatusMethodNotAllowed || p.Hint != "it takes GET, HEAD" {
			t.Errorf("POST %s: %d %+v", path, resp.StatusCode, p)
		}
	}
	if resp, p := request(t, s, http.MethodPost, "/v1/nothing", "", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("POST /v1/nothing: %d %+v", resp.StatusCode, p)
	}
}

func TestOpenAPI(t *testing.T) {
	s, _ := start(t, Config{Version: "1.2.3"})
	c := client(t, s.cfg.Address)
	_, head, body, err := c.exchange(t.Context(), http.MethodGet, pathOpenAPI, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := head.Get("Content-Type"); got != "application/openapi+json" {
		t.Errorf("Content-Type %q", got)
	}
	var doc struct {
		OpenAPI string
		Info    struct{ Version string }
		Paths   map[string]map[string]struct {
			Summary   string
			Responses map[string]struct{ Content map[string]any }
		}
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Version != "1.2.3" {
		t.Errorf("openapi %s, version %s", doc.OpenAPI, doc.Info.Version)
	}
	for _, pattern := range s.routes.patterns {
		method, path, _ := strings.Cut(pattern, " ")
		if path == pathOpenAPI {
			continue
		}
		op, described := doc.Paths[path][strings.ToLower(method)]
		if !described || op.Summary == "" || op.Responses["default"].Content[problemType] == nil {
			t.Errorf("%s is not described: %+v", pattern, op)
		}
	}
	for ref := range strings.SplitSeq(string(body), `"#/components/schemas/`) {
		if name, _, ok := strings.Cut(ref, `"`); ok && !strings.Contains(name, "{") && doc.Components.Schemas[name] == nil {
			t.Errorf("schema %s is missing", name)
		}
	}
}

// TestKindsAndStatuses holds the table to be usable in both directions.
func TestKindsAndStatuses(t *testing.T) {
	for _, k := range kinds {
		if got := kindOf(statusOf(k.kind)); got != k.kind {
			t.Errorf("%s travels as %d and arrives as %s", k.kind, statusOf(k.kind), got)
		}
	}
	for status, want := range map[int]triage.Kind{400: triage.KindInvalid, 415: triage.KindInvalid, 502: triage.KindInternal} {
		if got := kindOf(status); got != want {
			t.Errorf("%d is %s, want %s", status, got, want)
		}
	}
}
