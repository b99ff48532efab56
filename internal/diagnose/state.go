package diagnose

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage/internal/dialect"
)

// stateEntries are about targets that say themselves, by design, why they do not want requests.
var stateEntries = []*Entry{
	{
		Code:    "health-reports-down",
		Title:   "the application itself says that it is not healthy",
		Stage:   StageStatus,
		Seen:    "503 with JSON whose status is DOWN, OUT_OF_SERVICE, unhealthy or error, or with the word Unhealthy",
		Cause:   "the application's own health check says that it is not healthy",
		Decides: "the same request with the site's public name as Host; to another path, which is answered, and to {path} again, which still says so",
		Fixes:   downFixes[:],
		Wrong:   Wrong{"another path that always says ok", "the check is then green while the application cannot work"},
		Sources: []string{"Spring Boot, StatusAggregator and ApiVersion.java", "ASP.NET Core, HealthCheckResponseWriters.cs", "NestJS Terminus"},

		match: func(c *kase) clue {
			state, parts, ok := c.reportsDown()
			if !ok {
				if words := c.ownWords(); words != "" {
					return maybe(c.statusLine(), "it says "+words)
				}
				return c.perhaps(503)
			}
			evidence := []string{c.statusLine(), "it says " + state}
			if len(parts) > 0 {
				evidence = append(evidence, "not up: "+strings.Join(parts, ", "))
			}
			return certainly(evidence...)
		},
		prove: provesOwnWords,
		tell: func(c *kase) (cause, fix string) {
			state, parts, ok := c.reportsDown()
			if !ok {
				state = c.ownWords()
			}
			cause = fmt.Sprintf("the application's own health check says %s", state)
			switch {
			case len(parts) > 0:
				cause += ", because of " + strings.Join(parts, ", ")
			case state == "OUT_OF_SERVICE":
				cause += ": it refuses traffic, as it does while it starts or stops"
			}
			return cause, c.cure(downFixes[:])
		},
	},
	{
		Code:    "no-local-endpoints",
		Title:   "this node has no pod of the service",
		Stage:   StageStatus,
		Seen:    "503 from a healthCheckNodePort, with JSON whose localEndpoints is 0",
		Cause:   "the service has externalTrafficPolicy: Local, and no pod of it that is ready runs on this node, so kube-proxy says that no traffic shall come here",
		Decides: "whether all nodes answer so: then no pod at all is ready",
		Fixes: []Fix{
			{"", "nothing, if other nodes pass: \"n of m nodes unhealthy\" is right.\nIf all fail, no pod is ready:\n    kubectl get endpointslices -l kubernetes.io/service-name=NAME\nand the node's name must be the one that kube-proxy knows"},
		},
		Wrong:   Wrong{"externalTrafficPolicy: Cluster, to see all nodes green", "the client's address is lost, and each request may take one hop more"},
		Sources: []string{"kubernetes, pkg/proxy/healthcheck/service_health.go", "kubernetes #80579", "scaleway ccm #62"},

		match: func(c *kase) clue {
			answer := c.object()
			service, named := answer["service"].(map[string]any)
			if endpoints, counted := answer["localEndpoints"].(float64); !c.mismatch(503) || !named || !counted || endpoints != 0 {
				return c.perhaps(503)
			}
			return certainly(c.statusLine(), "localEndpoints: 0", fmt.Sprintf("service: %v/%v", service["namespace"], service["name"]))
		},
	},
	{
		Code:  "vault-standby",
		Title: "this Vault is a standby, and says so by its code",
		Stage: StageStatus,
		Seen:  "429, 472 or 473 from /v1/sys/health, with JSON that says initialized and not sealed",
		Cause: "this Vault is a standby (429), the secondary for disasters (472) or a performance standby (473), and says so by its code: that is no error",
		Fixes: []Fix{
			{"", "if standbys shall be in rotation, ask for them:\n    {path}?standbyok=true&perfstandbyok=true\nelse leave it: then only the active Vault passes"},
		},
		Wrong:   Wrong{"adding 429 to the success codes", "a proxy's rate limit passes as well"},
		Sources: []string{"hashicorp/vault, http/sys_health.go", "vault #389"},
		match:   func(c *kase) clue { return c.vaultClue(true, false, 429, 472, 473) },
	},
	{
		Code:    "vault-sealed",
		Title:   "this Vault is sealed",
		Stage:   StageStatus,
		Seen:    "503 from /v1/sys/health, with JSON that says sealed",
		Cause:   "this Vault is sealed: it runs, and can decrypt nothing until it is unsealed",
		Fixes:   []Fix{{"", "unseal it, or set up auto-unseal, so that a restart does not need\na person:\n    vault operator unseal"}},
		Wrong:   Wrong{"?sealedcode=200", "clients are sent to a Vault that refuses every one of them"},
		Sources: []string{"hashicorp/vault, http/sys_health.go"},
		match:   func(c *kase) clue { return c.vaultClue(true, true, 503) },
	},
	{
		Code:    "vault-not-initialized",
		Title:   "this Vault was never initialized",
		Stage:   StageStatus,
		Seen:    "501 from /v1/sys/health, with JSON that says not initialized",
		Cause:   "this Vault was never initialized, or has lost its storage",
		Fixes:   []Fix{{"", "is it the right storage? If it is new:\n    vault operator init"}},
		Sources: []string{"hashicorp/vault, http/sys_health.go"},
		match:   func(c *kase) clue { return c.vaultClue(false, true, 501) },
	},
	{
		Code:  "patroni-role",
		Title: "this PostgreSQL has not the role that the check asks for",
		Stage: StageStatus,
		Seen:  "503 from Patroni's REST API, with JSON whose role is another than the path's",
		Cause: "Patroni answers 503 at {path} because this PostgreSQL has another role: that is how a check finds the one primary",
		Fixes: []Fix{
			{"", "nothing, if one other member passes. Else choose the path by role:\n    /primary for writes, /replica for reads, /health for either\n    patronictl list   shows who is what"},
		},
		Wrong:   Wrong{"/health for the pool that writes", "writes go to replicas, which refuse them"},
		Sources: []string{"Patroni 3.0.2, patroni/api.py", "patroni #1917"},

		match: func(c *kase) clue {
			answer := c.object()
			_, isPatroni := answer["patroni"].(map[string]any)
			role, _ := answer["role"].(string)
			if !c.mismatch(503) || !isPatroni || role == "" || !patroniDiffers(c.path(), role) {
				return c.perhaps(503)
			}
			return certainly(c.statusLine(), "role: "+role, "path "+c.path())
		},
	},
}

var downFixes = [...]Fix{
	{"", "repair the part that is down. If the application can serve without\nit, take it out of the check that routes: a shared database that is\ndown for a moment would take all targets out at once"},
	{"Spring Boot", "let the load balancer ask the group that is made for it:\n    /actuator/health/readiness\n    management.endpoint.health.probes.enabled=true\nand switch off what is optional, as in\n    management.health.mail.enabled=false"},
	{"ASP.NET", "Program.cs: give the load balancer the checks that it needs:\n    app.MapHealthChecks(\"{path}\", new() {\n        Predicate = check => check.Tags.Contains(\"ready\") });"},
}

// perhaps suspects what has such a code, where nothing but the code is known.
func (c *kase) perhaps(codes ...int) clue {
	if slices.ContainsFunc(codes, c.codeAlone) {
		return maybe(c.statusLine())
	}
	return no
}

// object is the content as an object of JSON; empty if it is none.
func (c *kase) object() map[string]any {
	var answer map[string]any
	if json.Unmarshal(c.x.Body, &answer) != nil {
		return nil
	}
	return answer
}

// reportsDown reports whether a 503 is an application's own word on its health: which word, and which of its parts are
// not up.
func (c *kase) reportsDown() (state string, parts []string, ok bool) {
	if !c.mismatch(503) {
		return "", nil, false
	}
	if c.kind() == "text/plain" && c.text() == "Unhealthy" {
		return "Unhealthy", nil, true
	}
	answer := c.object()
	state, _ = answer["status"].(string)
	switch strings.ToLower(state) {
	case "error":
		if !isTerminus(answer) {
			return "", nil, false // the status of any error in JSON
		}
	case "down", "out_of_service", "unhealthy":
	default:
		return "", nil, false
	}
	for _, key := range [...]string{"components", "details", "entries", "checks"} {
		if parts = notUp(answer[key]); len(parts) > 0 {
			break
		}
	}
	return state, parts[:min(len(parts), 3)], true
}

// isTerminus reports whether an answer has the form of NestJS Terminus: details by part, and each part's status in it.
func isTerminus(answer map[string]any) bool {
	details, _ := answer["details"].(map[string]any)
	for _, part := range details {
		object, _ := part.(map[string]any)
		if state, _ := object["status"].(string); state != "up" && state != "down" {
			return false
		}
	}
	return len(details) > 0
}

// unready are the words by which an application says of itself that it is not ready: of the whole of it, at the beginning,
// with or without a reason after it. "Starting price feed" is about something else.
var unready = regexp.MustCompile(`(?i)^(?:(?:the )?(?:application|app|server|service|system|node) )?(?:is )?(?:still |currently )?` +
	`(?:not ready|not healthy|unhealthy|not live|starting(?: up)?|warming up|migrating|draining|shutting down|stopping)` +
	`(?:[.:,;…].*| [(-].*)?$`)

// ownWords is the one line in which an application says that it is not ready; "" if it says nothing of the kind. "Service
// Unavailable" is no more than the code in words.
func (c *kase) ownWords() string {
	const longest = 60
	words := c.text()
	if !c.mismatch(503) || c.kind() != "text/plain" || len(words) > longest || strings.Contains(words, "\n") || !unready.MatchString(words) {
		return ""
	}
	return words
}

// provesOwnWords proves that a 503 in an application's own words is about its health: by the site's name it is said too,
// others of its paths are answered, a path that nobody has is not answered so, and after a rest it still says the same.
func provesOwnWords(in *inquiry) finding {
	if text, ok := in.passesOtherwise(); ok {
		return disproof(text)
	}
	if in.ownWords() == "" || in.path() == "/" {
		return undecided("")
	}
	root, rested := dialect.Variation{Path: "/"}, dialect.Variation{Pause: 2 * time.Second}
	alive, sibling := in.ask(root), in.ask(dialect.Variation{Path: in.sibling()})
	if alive == nil || alive.x.Status == 0 || alive.x.Status >= 500 || sibling == nil || sibling.x.Status == 0 || sibling.x.Status >= 500 {
		return undecided("")
	}
	if again := in.ask(rested); again == nil || again.x.Status != in.x.Status || again.ownWords() == "" {
		return undecided("")
	}
	return proof(says(root, alive) + "; with " + rested.String() + " still " + Brief(in.x))
}

// notUp are the names of the parts whose status is none of those that mean well, sorted.
func notUp(all any) (names []string) {
	bad := func(part any) bool {
		object, _ := part.(map[string]any)
		state, _ := object["status"].(string)
		return slices.Contains([]string{"down", "out_of_service", "unhealthy"}, strings.ToLower(state))
	}
	switch all := all.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if bad(all[name]) {
				names = append(names, name)
			}
		}
	case []any:
		for _, part := range all {
			object, _ := part.(map[string]any)
			if name, _ := object["name"].(string); name != "" && bad(part) {
				names = append(names, name)
			}
		}
	}
	return names
}

// asksVault reports whether the check asks where Vault tells its state by codes of its own.
func (c *kase) asksVault() bool { return strings.HasSuffix(c.path(), "/v1/sys/health") }

// vaultClue compares an answer of Vault with the state that its code means.
func (c *kase) vaultClue(initialized, sealed bool, codes ...int) clue {
	answer := c.object()
	saysInit, ok1 := answer["initialized"].(bool)
	saysSealed, ok2 := answer["sealed"].(bool)
	_, ok3 := answer["standby"].(bool)
	if !c.asksVault() || !c.mismatch(codes...) || !ok1 || !ok2 || !ok3 || saysInit != initialized || saysSealed != sealed {
		return c.perhaps(codes...)
	}
	return certainly(c.statusLine(), fmt.Sprintf("initialized %v, sealed %v", saysInit, saysSealed))
}

// patroniDiffers reports whether a member of this role answers 503 at a path for being what it is. Patroni looks for
// words in the path, in this order, and takes / for /primary.
func patroniDiffers(path, role string) bool {
	leads := role == "master" || role == "primary"
	switch {
	case strings.Contains(path, "standby"):
		return role != "standby_leader"
	case strings.Contains(path, "leader"):
		return !leads && role != "standby_leader"
	case path == "/" || strings.Contains(path, "master") || strings.Contains(path, "primary") || strings.Contains(path, "read-write"):
		return !leads
	case strings.Contains(path, "replica"):
		return role != "replica"
	}
	return false
}
