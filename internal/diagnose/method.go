package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// methodEntries are about checks that ask with HEAD or OPTIONS, and pages that do not take GET.
var methodEntries = []*Entry{
	{
		Code:    "method-not-allowed",
		Title:   "the page does not take the check's method",
		Stage:   StageHTTP,
		Seen:    "405 or 501, or an error to HEAD or OPTIONS where GET is answered",
		Cause:   "the health check asks with a method that the page does not take",
		Decides: "the same request with GET, and first with the site's public name as Host; where GET was asked, a path that nobody has: a router says 404 to it",
		Fixes: []Fix{
			{"", "let the check ask with GET, and give it a page that takes GET"},
			{"HAProxy", "option httpchk alone asks with OPTIONS; name method and path:\n    option httpchk GET {path}"},
			{"Starlette", "@app.get does not answer HEAD:\n    @app.api_route(\"{path}\", methods=[\"GET\", \"HEAD\"])"},
			{"Express", "app.get('{path}', …) answers HEAD as well"},
			{"Django", "above the view:\n    @require_safe    (GET and HEAD)"},
		},
		Wrong:   Wrong{"adding 405 to the success codes", "the router answers so by itself, whatever state the application is in"},
		Sources: []string{"Flask 3.1, Django 3.2, Python 3.11 and Go 1.26, tried", "fastmcp #275", "emqx #991", "traefik #6550", "webhook-tester #204"},

		match: func(c *kase) clue {
			method := c.method()
			switch {
			case c.codeAlone(405):
				return maybe(c.statusLine())
			case method == "":
				return no
			case c.mismatch(405) && c.has("Allow") && !c.allows(method):
				return certainly(c.statusLine(), method+" was asked", "Allow: "+c.header("Allow"))
			case c.mismatch(405) && method == "GET":
				return maybe(c.statusLine(), method+" was asked", "no Allow") // firewalls answer so too
			case c.mismatch(400, 401, 403, 404, 405, 500, 501) && method != "GET":
				return maybe(c.statusLine(), method+" was asked")
			}
			return no
		},
		tell: func(c *kase) (cause, fix string) {
			method := c.method()
			switch {
			case method == "":
				return "the health check asks with a method that the page does not take", "let the check ask with GET, and give it a page that takes GET"
			case c.has("Allow"):
				cause = fmt.Sprintf("the health check asks with %s, and the page takes %s", method, c.header("Allow"))
			default:
				cause = fmt.Sprintf("the health check asks with %s, which the page does not take", method)
			}
			switch {
			case method == "GET":
				fix = "give the check a page of its own that takes GET: what takes\nanother method alone does something"
			case c.x.Dialect == triage.HAProxy || c.x.Dialect == triage.HAProxyHTTP11:
				fix = c.fill("in HAProxy, name method and path:\n    option httpchk GET {path}")
			default:
				fix = "let the check ask with GET, or let the page answer " + method + " too"
			}
			return cause, fix
		},
		prove: func(in *inquiry) finding {
			if text, ok := in.passesByName(); ok {
				return disproof(text) // another site has answered, for want of the name
			}
			if method := in.method(); method == "GET" || method == "" {
				return in.knownToRouter()
			}
			question := dialect.Variation{Method: "GET"}
			switch answer := in.ask(question); {
			case answer == nil:
				return undecided("")
			case answer.passes():
				return proof(says(question, answer))
			case answer.x.Status == in.x.Status:
				return disproof(says(question, answer))
			}
			return undecided("") // it may be this, and something else besides
		},
	},
}

// knownToRouter proves that a 405 to GET is the word of a router, which knows this path: to one that nobody has it says
// 404. A firewall that refuses with 405 does not know which paths there are.
func (in *inquiry) knownToRouter() finding {
	if named, _ := in.byName(); !in.mismatch(405) || named == nil || named.x.Status != 405 {
		return undecided("")
	}
	question := dialect.Variation{Path: in.sibling()}
	if answer := in.ask(question); answer != nil && answer.x.Status == 404 {
		return proof(says(question, answer))
	}
	return undecided("")
}

// method is that of the request; "" if it is not known.
func (c *kase) method() string {
	method, _, _ := strings.Cut(c.requestLine(), " ")
	return method
}

// allows reports whether the answer's Allow names a method.
func (c *kase) allows(method string) bool {
	return slices.Contains(strings.FieldsFunc(c.header("Allow"), func(r rune) bool { return r == ',' || r == ' ' }), method)
}
