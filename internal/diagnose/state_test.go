package diagnose

import (
	"fmt"
	"testing"

	"github.com/triage-lb/triage"
)

func TestTargetsThatSayTheirState(t *testing.T) {
	vault := func(status string, initialized, sealed, standby bool) string {
		return jsonAnswer(status, fmt.Sprintf(`{"initialized":%v,"sealed":%v,"standby":%v,"performance_standby":false}`, initialized, sealed, standby))
	}
	patroni := func(role string) string {
		return jsonAnswer("503 Service Unavailable", `{"state": "running", "role": "`+role+`", "patroni": {"version": "3.0.2", "scope": "main"}}`)
	}
	unready := func(text string) string {
		return answer("503 Service Unavailable", "Content-Type: text/plain; charset=utf-8\r\n", text)
	}
	const down = "503 Service Unavailable"
	runAll(t, map[string]trial{
		"Spring Boot": {
			answers: map[string]string{"": answer(down, "Content-Type: application/vnd.spring-boot.actuator.v3+json\r\n",
				`{"status":"DOWN","components":{"db":{"status":"UP"},"mail":{"status":"DOWN"},"ping":{"status":"UP"}}}`)},
			code: "health-reports-down", certainty: triage.Likely, cause: "says DOWN, because of mail", fix: "management.health.mail.enabled=false",
		},
		"Spring Boot while it stops": {
			answers: map[string]string{"": jsonAnswer(down, `{"status":"OUT_OF_SERVICE"}`)},
			code:    "health-reports-down", certainty: triage.Likely, cause: "refuses traffic",
		},
		"MicroProfile": {
			answers: map[string]string{"": jsonAnswer(down, `{"status":"DOWN","checks":[{"name":"disk","status":"DOWN"}]}`)},
			code:    "health-reports-down", certainty: triage.Likely, cause: "because of disk",
		},
		"NestJS Terminus": {
			answers: map[string]string{"": jsonAnswer(down, `{"status":"error","info":{},"error":{"db":{"status":"down"}},"details":{"db":{"status":"down"}}}`)},
			code:    "health-reports-down", certainty: triage.Likely, cause: "because of db",
		},
		"ASP.NET": {
			answers: map[string]string{"": answer(down, "Content-Type: text/plain\r\nServer: Kestrel\r\n", "Unhealthy")},
			code:    "health-reports-down", certainty: triage.Likely, fix: "MapHealthChecks",
		},
		"an error in JSON":        {answers: map[string]string{"": jsonAnswer(down, `{"status":"error","message":"no seats left"}`)}},
		"its own words":           {answers: map[string]string{"": unready("not ready: migrating\n"), "path /": ok, nobodys: goPage404}, code: "health-reports-down", certainty: triage.Proved, cause: "not ready: migrating"},
		"its own words, and no":   {answers: map[string]string{"": unready("not ready\n")}},
		"the code in words":       {answers: map[string]string{"": unready("Service Unavailable\n"), "path /": ok, nobodys: goPage404}},
		"an error envelope":       {answers: map[string]string{"": jsonAnswer(down, `{"status":"error","details":{"code":"QUOTA_EXCEEDED"},"message":"quota"}`)}},
		"a tenant that is none":   {hosts: shopHost, answers: map[string]string{"": jsonAnswer(down, `{"status":"down","message":"no such tenant"}`), "Host shop.example": ok}, suspect: "health-reports-down"},
		"words of something else": {answers: map[string]string{"": unready("starting price feed blocked: license expired\n"), "path /": ok, nobodys: goPage404}},
		"another site's words":    {hosts: shopHost, answers: map[string]string{"": unready("not ready\n"), "path /": ok, nobodys: goPage404, "Host shop.example": ok}},
		"a node without pods": {
			answers: map[string]string{"": jsonAnswer(down, "{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": \"web\"\n\t},\n\t\"localEndpoints\": 0,\n\t\"serviceProxyHealthy\": true\n}")},
			code:    "no-local-endpoints", certainty: triage.Likely,
		},
		"a Vault that stands by": {
			path: "/v1/sys/health", answers: map[string]string{"": vault("429 Too Many Requests", true, false, true)},
			code: "vault-standby", certainty: triage.Likely, fix: "standbyok=true",
		},
		"a Vault's 429 without its words": {path: "/v1/sys/health", answers: map[string]string{"": answer("429 Too Many Requests", "", "")}},
		"a sealed Vault":                  {path: "/v1/sys/health", answers: map[string]string{"": vault(down, true, true, true)}, code: "vault-sealed", certainty: triage.Likely},
		"a new Vault":                     {path: "/v1/sys/health", answers: map[string]string{"": vault("501 Not Implemented", false, true, true)}, code: "vault-not-initialized", certainty: triage.Likely},
		"Patroni's replica":               {path: "/primary", answers: map[string]string{"": patroni("replica")}, code: "patroni-role", certainty: triage.Likely, fix: "patronictl list"},
		"Patroni's primary":               {path: "/replica", answers: map[string]string{"": patroni("master")}, code: "patroni-role", certainty: triage.Likely},
		"a replica that lags":             {path: "/replica", answers: map[string]string{"": patroni("replica")}},
	})
}

func TestWordsOfReadiness(t *testing.T) {
	for words, want := range map[string]bool{
		"not ready": true, "Not ready: migrating": true, "migrating": true, "starting up...": true, "The application is starting": true,
		"server is shutting down": true, "draining (12 connections left)": true, "still warming up, 3 of 8 caches": true, "unhealthy - db": true,
		"starting price feed blocked: license expired": false, "starting bid too low": false, "no stopping here": false, "your order is not ready": false,
		"Service Unavailable": false, "unhealthyish": false, "": false,
	} {
		if got := unready.MatchString(words); got != want {
			t.Errorf("%q: %v", words, got)
		}
	}
}
