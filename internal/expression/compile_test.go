package expression_test

import (
	"testing"

	"github.com/triage-lb/triage/internal/expression"
)

func TestCompileErrors(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{``, `the expression is empty`},
		{" \n", `the expression is empty`},
		{`stauts == 200`, `column 1: there is no variable "stauts"; there are status, header, body, json, latency, tls; did you mean status?`},
		{"status == 200 &&\n  jsn.ready", `line 2, column 3: there is no variable "jsn"; there are status, header, body, json, latency, tls; did you mean json?`},
		{`json.list.all(x, y)`, `column 18: there is no variable "y"; there are status, header, body, json, latency, tls; did you mean body?`},
		{`body.startWith("a")`, `column 15: there is no function "startWith"; did you mean startsWith?`},
		{`body.all(x)`, `column 9: all wants a name and what is to be done with it: json.list.all(x, x.ready)`},
		{`tls.daysleft > 3`, `column 4: tls has no "daysleft"; it has version, cipher, alpn, subject, names, issuer, not_after, days_left, untrusted; did you mean days_left?`},
		{`tls != null`, `column 1: tls is used with a field: version, cipher, alpn, subject, names, issuer, not_after, days_left, untrusted`},
		{`has(tls.alpn)`, `column 5: tls.alpn is always there with TLS: compare it with a value`},
		{`tls.alpn.x`, `column 9: a string has no fields`},

		{`status`, `the expression gives int, not a yes or no`},
		{`"up"`, `the expression gives string, not a yes or no`},
		{`json.?ready`, `the expression gives optional_type(dyn), not a yes or no: put .orValue(false) behind it`},
		{`json.ready.orValue(false)`, `column 19: orValue wants something optional in front: write json.?key or json[?"key"], with a question mark`},
		{`status == "200"`, `column 8: == does not go between an int and a string`},
		{`!status`, `column 1: ! does not go with an int`},
		{`body.contains(3)`, `column 14: contains of a string does not take (int)`},
		{`1.5 in {1: 2}`, `column 5: in does not take (double, map(int, int))`},
		{`size(status) > 1`, `column 5: size does not take (int)`},
		{`status == 200 ? 1 : "a"`, `column 15: ? : wants a bool in front and two values of one type behind it, not (bool, int, string)`},

		{`status = 200`, `column 8: "=" is not an operator of CEL: write == to compare`},
		{`status == 200 and json.ready`, `column 15: "and" cannot stand here: write &&`},
		{`status == 200 & json.ready`, `column 15: "&" is not an operator of CEL: write &&`},
		{`status == 200 or json.ready`, `column 15: "or" cannot stand here: write ||`},
		{`status ==`, `column 10: the expression stops too early`},
		{`status == 200)`, `column 14: ")" cannot stand here`},
		{`body == "abc`, `column 9: the text "abc has no end`},
		{`has(status)`, `column 5: invalid argument to has() macro`},
		{`latency < duration("1x")`, `column 20: invalid duration argument`},
		{`tls.not_after > timestamp("soon")`, `column 27: invalid timestamp argument`},
		{`int("x") == 1`, `the expression cannot be prepared: a string cannot be made an int`},

		{`header["X-Ready"] == "yes"`, `column 7: header names are in lower case here: write header["x-ready"]`},
		{`header.ETag != ""`, `column 7: header names are in lower case here: write header["etag"]`},
		{`header[?"ETag"].orValue("") != ""`, `column 7: header names are in lower case here: write header["etag"]`},
		{`has(header.ETag)`, `column 4: header names are in lower case here: write header["etag"]`},
		{`"ETag" in header`, `column 8: header names are in lower case here: write header["etag"]`},

		{`body.matches("(")`, "column 14: \"(\" is not a regular expression of RE2: missing closing ): `(`"},
		{`body.matches(json.pattern)`, `column 18: matches wants its regular expression written out as text`},
		{`tls.not_after.getHours("Europe/Berlin") == 3`, `column 23: getHours wants the time zone written out as an offset, "+02:00"`},
		{`body.replace("a", "b") == ""`, `column 13: replace is not available in the expression of a check`},
		{`json.?a.optMap(x, x).hasValue()`, `column 15: optMap and optFlatMap are not available in the expression of a check`},
		{`google.protobuf.Duration{seconds: 1} > latency`, `column 25: there are no messages to make here`},
	} {
		_, err := expression.Compile(c.source)
		if err == nil {
			t.Errorf("%s\n\tcompiles", c.source)
		} else if err.Error() != c.want {
			t.Errorf("%s\n\tgot  %s\n\twant %s", c.source, err, c.want)
		}
	}
}
