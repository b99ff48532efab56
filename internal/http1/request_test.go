package http1_test

import (
	"strings"
	"testing"

	"github.com/triage-lb/triage/internal/http1"
)

// albRequest has the fields that an Application Load Balancer sends with a health check.
const albRequest = "GET /health_check HTTP/1.1\r\n" +
	"Host: 10.0.1.5:8000\r\n" +
	"Connection: close\r\n" +
	"User-Agent: ELB-HealthChecker/2.0\r\n" +
	"Accept-Encoding: gzip, compressed\r\n" +
	"\r\n"

func TestParseRequest(t *testing.T) {
	for _, tt := range []struct {
		name, in       string
		method, target string
		minor, fields  int
	}{
		{"load balancer", albRequest, "GET", "/health_check", 1, 4},
		{"HAProxy's shortest", "OPTIONS / HTTP/1.0\r\n\r\n", "OPTIONS", "/", 0, 0},
		{"query with anything visible", "GET /a%20b?100%|{}[]^\"<> HTTP/1.0\r\n\r\n", "GET", "/a%20b?100%|{}[]^\"<>", 0, 0},
		{"two slashes", "GET //a HTTP/1.0\r\n\r\n", "GET", "//a", 0, 0},
		{"URL", "GET HTTP://example.com:80?q HTTP/1.1\r\nHost: other\r\n\r\n", "GET", "HTTP://example.com:80?q", 1, 1},
		{"URL with IPv6", "GET https://[::1]/a HTTP/1.0\r\n\r\n", "GET", "https://[::1]/a", 0, 0},
		{"asterisk", "OPTIONS * HTTP/1.0\r\n\r\n", "OPTIONS", "*", 0, 0},
		{"CONNECT", "CONNECT [::1]:443 HTTP/1.1\r\nHost:\r\n\r\n", "CONNECT", "[::1]:443", 1, 1},
		{"method of our own", "x-CHECK / HTTP/1.0\r\n\r\n", "x-CHECK", "/", 0, 0},
		{"Host with underscore", "GET / HTTP/1.1\r\nhost: my_cluster:\r\n\r\n", "GET", "/", 1, 1},
		{"Host with IPv6", "GET / HTTP/1.1\r\nhost: [2001:db8::1]:8080\r\n\r\n", "GET", "/", 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, n, err := http1.ParseRequest([]byte(tt.in+"next"), nil, http1.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if n != len(tt.in) {
				t.Errorf("consumed %d, want %d", n, len(tt.in))
			}
			if string(r.Method) != tt.method || string(r.Target) != tt.target || r.Minor != tt.minor || len(r.Fields) != tt.fields {
				t.Errorf("got %q %q HTTP/1.%d and %d fields", r.Method, r.Target, r.Minor, len(r.Fields))
			}
		})
	}
}

func TestRequestSyntax(t *testing.T) {
	const get = "GET / HTTP/1.1\r\n"
	for _, tt := range []struct {
		name, in string
		offset   int
		what     string
	}{
		{"TLS hello", "\x16\x03\x01\x02\x00", 0, "control byte"},
		{"empty line first", "\r\n" + get, 0, "empty line in front of the request"},
		{"HTTP/0.9", "GET /\r\n", 5, "no HTTP version in the request line (HTTP/0.9)"},
		{"only a method", "QUIT\r\n", 4, "request line without a target"},
		{"PROXY protocol", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", 6, "request target is neither a path nor a URL with http or https"},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n", 4, "request target * with a method other than OPTIONS"},
		{"version 2.0", "GET / HTTP/2.0\r\n", 6, "HTTP version is neither 1.0 nor 1.1"},
		{"version 1.2", "GET / HTTP/1.2\r\n", 6, "HTTP version is neither 1.0 nor 1.1"},
		{"version in lower case", "GET / http/1.1\r\n", 6, "HTTP version is neither 1.0 nor 1.1"},
		{"space in the target", "GET /a b HTTP/1.1\r\n", 7, "request line is not method, target and version, separated by one space each"},
		{"space after the version", "GET / HTTP/1.1 \r\n", 6, "request line is not method, target and version, separated by one space each"},
		{"two spaces after the method", "GET  / HTTP/1.1\r\n", 4, "request target is empty"},
		{"tab after the method", "GET\t/ HTTP/1.1\r\n", 3, "method is not a token followed by one space"},
		{"method with a colon", "GET: / HTTP/1.1\r\n", 3, "method is not a token followed by one space"},
		{"space first", " GET / HTTP/1.1\r\n", 0, "method is not a token followed by one space"},
		{"tab in the target", "GET /\t HTTP/1.1\r\n", 5, "request target has a byte that targets cannot have"},
		{"target in UTF-8", "GET /\u00fc HTTP/1.1\r\n", 5, "request target has a byte that targets cannot have"},
		{"fragment", "GET /a#b HTTP/1.1\r\n", 6, "request target has a byte that targets cannot have"},
		{"relative path", "GET a HTTP/1.1\r\n", 4, "request target is neither a path nor a URL with http or https"},
		{"other scheme", "GET file:///etc/passwd HTTP/1.1\r\n", 4, "request target is neither a path nor a URL with http or https"},
		{"incomplete escape", "GET /%2 HTTP/1.1\r\n", 5, "incomplete %-escape in the path"},
		{"escape that is not hex", "GET /a%zz HTTP/1.1\r\n", 6, "incomplete %-escape in the path"},
		{"incomplete escape in a URL", "GET http://a/%4 HTTP/1.1\r\n", 13, "incomplete %-escape in the path"},
		{"URL without a host", "GET http:///a HTTP/1.1\r\n", 11, "host name is empty"},
		{"URL with a user", "GET http://u@a/ HTTP/1.1\r\n", 12, "host has a byte that hosts cannot have"},
		{"URL with a port too high", "GET http://a:65536/ HTTP/1.1\r\n", 17, "port is not a number up to 65535"},
		{"URL with a second colon", "GET http://a:1:2/ HTTP/1.1\r\n", 14, "port is not a number up to 65535"},
		{"URL with a bad address", "GET http://[::g]/ HTTP/1.1\r\n", 12, "no IPv6 address in brackets"},
		{"URL with IPv4 in brackets", "GET http://[1.2.3.4]/ HTTP/1.1\r\n", 12, "no IPv6 address in brackets"},
		{"URL with a zone", "GET http://[fe80::1%25eth0]/ HTTP/1.1\r\n", 12, "no IPv6 address in brackets"},
		{"URL with an open bracket", "GET http://[::1 HTTP/1.1\r\n", 11, "no ] after an IPv6 address"},
		{"CONNECT without a port", "CONNECT a HTTP/1.1\r\n", 9, "target of CONNECT has no port"},
		{"CONNECT with a path", "CONNECT /a HTTP/1.1\r\n", 8, "host has a byte that hosts cannot have"},
		{"no Host", get + "\r\n", -1, "no Host in a request of HTTP/1.1"},
		{"two Hosts", get + "Host: a\r\nhost: a\r\n\r\n", 31, "more than one Host"},
		{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 31, "more than one Host"},
		{"Host with a user", get + "Host: a@b\r\n\r\n", 23, "host has a byte that hosts cannot have"},
		{"Host with a path", get + "Host: a/b\r\n\r\n", 23, "host has a byte that hosts cannot have"},
		{"Host with a space", get + "Host: a b\r\n\r\n", 23, "host has a byte that hosts cannot have"},
		{"Host with an escape", get + "Host: a%2eb\r\n\r\n", 23, "host has a byte that hosts cannot have"},
		{"Host list", get + "Host: a,b:1,c:2\r\n\r\n", 27, "port is not a number up to 65535"},
		{"Host with a strange port", get + "Host: a:80x\r\n\r\n", 26, "port is not a number up to 65535"},
		{"Host with only a port", get + "Host: :80\r\n\r\n", 22, "host name is empty"},
		{"Host in UTF-8", get + "Host: \u00fc\r\n\r\n", 22, "host has a byte that hosts cannot have"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, n, err := http1.ParseRequest([]byte(tt.in), nil, http1.Limits{})
			wantSyntaxError(t, err, tt.offset, tt.what)
			if n != 0 {
				t.Errorf("consumed %d", n)
			}
		})
	}
}

// The known ways to make two parsers disagree about where a request ends. Each must fail while the
// head is read, when its framing is asked for, or in the body; "" means nothing fails.
func TestSmuggling(t *testing.T) {
	for _, tt := range []struct {
		name, fields, body string
		stage, what        string
	}{
		{"plain length", "Content-Length: 5", "hello", "", ""},
		{"plain chunks", "transfer-encoding: CHUNKED", "5\r\nhello\r\n0\r\n\r\n", "", ""},

		{"CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG", "framing", "both Content-Length and Transfer-Encoding"},
		{"TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 3", "1\r\nG\r\n0\r\n\r\n", "framing", "both Content-Length and Transfer-Encoding"},
		{"CL.0", "Content-Length: ", "", "framing", "Content-Length is not a number of bytes"},
		{"two lengths", "Content-Length: 5\r\nContent-Length: 6", "", "framing", "more than one Content-Length"},
		{"two equal lengths", "Content-Length: 5\r\nContent-Length: 5", "", "framing", "more than one Content-Length"},
		{"list of lengths", "Content-Length: 5, 5", "", "framing", "Content-Length is not a number of bytes"},
		{"negative length", "Content-Length: -1", "", "framing", "Content-Length is not a number of bytes"},
		{"length with plus", "Content-Length: +5", "", "framing", "Content-Length is not a number of bytes"},
		{"length in hex", "Content-Length: 0x5", "", "framing", "Content-Length is not a number of bytes"},
		{"length with underscore", "Content-Length: 1_0", "", "framing", "Content-Length is not a number of bytes"},
		{"length with a fraction", "Content-Length: 5.0", "", "framing", "Content-Length is not a number of bytes"},
		{"length with a space", "Content-Length: 1 0", "", "framing", "Content-Length is not a number of bytes"},
		{"length overflow", "Content-Length: 9223372036854775808", "", "framing", "Content-Length is not a number of bytes"},
		{"length overflow to 5", "Content-Length: 18446744073709551621", "", "framing", "Content-Length is not a number of bytes"},
		{"length with NUL", "Content-Length: 5\x00", "", "head", "NUL byte"},
		{"length with space before the colon", "Content-Length : 5", "", "head", "white space in or after a header name"},

		{"TE with space before the colon", "Transfer-Encoding : chunked", "", "head", "white space in or after a header name"},
		{"TE with tab before the colon", "Transfer-Encoding\t: chunked", "", "head", "white space in or after a header name"},
		{"TE after a vertical tab", "Transfer-Encoding: \x0bchunked", "", "head", "control byte"},
		{"TE after a form feed", "Transfer-Encoding: \x0cchunked", "", "head", "control byte"},
		{"TE after NUL", "Transfer-Encoding: \x00chunked", "", "head", "NUL byte"},
		{"TE after a no-break space", "Transfer-Encoding: \xa0chunked", "", "framing", "Transfer-Encoding is not chunked"},
		{"TE folded", "Transfer-Encoding:\r\n chunked", "", "head", "header line starts with white space (obsolete line folding)"},
		{"TE folded behind a field", "A: b\r\n Transfer-Encoding: chunked", "", "head", "header line starts with white space (obsolete line folding)"},
		{"TE behind bare LF", "A: b\nTransfer-Encoding: chunked", "", "head", "bare LF ends the line"},
		{"TE behind bare CR", "A: b\rTransfer-Encoding: chunked", "", "head", "bare CR inside a line"},
		{"TE behind LF CR", "A: b\n\rTransfer-Encoding: chunked", "", "head", "bare LF ends the line"},
		{"TE on the first line, folded", " Transfer-Encoding: chunked", "", "head", "header line starts with white space (obsolete line folding)"},
		{"TE identity", "Transfer-Encoding: identity", "", "framing", "Transfer-Encoding is not chunked"},
		{"TE chunked, identity", "Transfer-Encoding: chunked, identity", "", "framing", "Transfer-Encoding is not chunked"},
		{"TE gzip, chunked", "Transfer-Encoding: gzip, chunked", "", "framing", "Transfer-Encoding is not chunked"},
		{"TE chunked twice in a list", "Transfer-Encoding: chunked, chunked", "", "framing", "Transfer-Encoding is not chunked"},
		{"TE chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "", "framing", "more than one Transfer-Encoding"},
		{"TE chunked and x", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "", "framing", "more than one Transfer-Encoding"},
		{"TE x and chunked", "Transfer-Encoding: x\r\nTransfer-encoding: chunked", "", "framing", "more than one Transfer-Encoding"},
		{"TE xchunked", "Transfer-Encoding: xchunked", "", "framing", "Transfer-Encoding is not chunked"},
		{"TE with a parameter", "Transfer-Encoding: chunked;q=1", "", "framing", "Transfer-Encoding is not chunked"},
		{"TE in quotes", "Transfer-Encoding: \"chunked\"", "", "framing", "Transfer-Encoding is not chunked"},
		{"TE with a comma", "Transfer-Encoding: ,chunked", "", "framing", "Transfer-Encoding is not chunked"},
		{"TE empty", "Transfer-Encoding:", "", "framing", "Transfer-Encoding is not chunked"},
		{"TE empty with length", "Transfer-Encoding:\r\nContent-Length: 5", "", "framing", "both Content-Length and Transfer-Encoding"},
		{"trailer announces the length", "Transfer-Encoding: chunked\r\nTrailer: A, content-length", "", "framing", "Trailer announces a field that trailers cannot have"},

		{"chunk size ends in bare LF", "Transfer-Encoding: chunked", "5\nhello\r\n0\r\n\r\n", "body", "bare LF ends a chunk-size line"},
		{"chunk size ends in bare CR", "Transfer-Encoding: chunked", "5\rhello\r\n0\r\n\r\n", "body", "bare CR in a chunk-size line"},
		{"chunk size overflow", "Transfer-Encoding: chunked", "10000000000000005\r\nhello\r\n0\r\n\r\n", "body", "chunk size is too large"},
		{"chunk size of 16 digits", "Transfer-Encoding: chunked", "ffffffffffffffff\r\nhello", "body", "chunk size is too large"},
		{"chunk size negative", "Transfer-Encoding: chunked", "-5\r\nhello\r\n0\r\n\r\n", "body", "chunk size is not a hexadecimal number"},
		{"chunk size with plus", "Transfer-Encoding: chunked", "+5\r\nhello\r\n0\r\n\r\n", "body", "chunk size is not a hexadecimal number"},
		{"chunk size with 0x", "Transfer-Encoding: chunked", "0x5\r\nhello\r\n0\r\n\r\n", "body", "chunk size is not a hexadecimal number"},
		{"chunk size with underscore", "Transfer-Encoding: chunked", "1_0\r\nhello\r\n0\r\n\r\n", "body", "chunk size is not a hexadecimal number"},
		{"chunk size with garbage", "Transfer-Encoding: chunked", "5xyz\r\nhello\r\n0\r\n\r\n", "body", "chunk size is not a hexadecimal number"},
		{"chunk size after a space", "Transfer-Encoding: chunked", " 5\r\nhello\r\n0\r\n\r\n", "body", "chunk size is not a hexadecimal number"},
		{"chunk size before a space", "Transfer-Encoding: chunked", "5 \r\nhello\r\n0\r\n\r\n", "body", "chunk size is not a hexadecimal number"},
		{"chunk size before NUL", "Transfer-Encoding: chunked", "5\x00\r\nhello\r\n0\r\n\r\n", "body", "chunk size is not a hexadecimal number"},
		{"chunk size missing", "Transfer-Encoding: chunked", "\r\nhello", "body", "chunk size is not a hexadecimal number"},
		{"chunk size is only an extension", "Transfer-Encoding: chunked", ";a=b\r\nhello", "body", "chunk size is not a hexadecimal number"},
		{"chunk extension with bare LF", "Transfer-Encoding: chunked", "5;a\nhello\r\n0\r\n\r\n", "body", "bare LF in a chunk extension or trailer"},
		{"chunk extension with bare CR", "Transfer-Encoding: chunked", "5;a\rhello\r\n0\r\n\r\n", "body", "bare CR in a chunk-size line"},
		{"chunk extension with NUL", "Transfer-Encoding: chunked", "5;\x00\r\nhello\r\n0\r\n\r\n", "body", "control byte in a chunk extension or trailer"},
		{"chunk longer than its size", "Transfer-Encoding: chunked", "5\r\nhello world\r\n0\r\n\r\n", "body", "chunk is longer than its size says"},
		{"chunk ends in bare LF", "Transfer-Encoding: chunked", "5\r\nhello\n0\r\n\r\n", "body", "bare LF ends a chunk"},
		{"chunk ends in bare CR", "Transfer-Encoding: chunked", "5\r\nhello\r0\r\n\r\n", "body", "chunk is not followed by CRLF"},
		{"last chunk then bare LF", "Transfer-Encoding: chunked", "0\r\n\n", "body", "trailer line does not start with a name"},
		{"last chunk then bare CR", "Transfer-Encoding: chunked", "0\r\n\rX", "body", "bare CR after the last chunk"},
		{"last chunk then a request", "Transfer-Encoding: chunked", "0\r\nGET / HTTP/1.1\r\n\r\n", "body", "trailer name has a byte that names cannot have"},
		{"trailer ends in bare LF", "Transfer-Encoding: chunked", "0\r\nA: b\n\r\n", "body", "bare LF in a chunk extension or trailer"},
		{"trailer with bare CR", "Transfer-Encoding: chunked", "0\r\nA: b\rC: d\r\n\r\n", "body", "bare CR in a trailer"},
		{"trailer folded", "Transfer-Encoding: chunked", "0\r\nA: b\r\n c\r\n\r\n", "body", "trailer line does not start with a name"},
		{"trailer without a name", "Transfer-Encoding: chunked", "0\r\n: b\r\n\r\n", "body", "trailer line does not start with a name"},
		{"trailer with NUL", "Transfer-Encoding: chunked", "0\r\nA: \x00\r\n\r\n", "body", "control byte in a chunk extension or trailer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := []byte("POST / HTTP/1.1\r\nHost: a\r\n" + tt.fields + "\r\n\r\n" + tt.body)
			if strings.HasPrefix(tt.name, "TE on the first line") {
				in = []byte("POST / HTTP/1.1\r\n" + tt.fields + "\r\nHost: a\r\n\r\n" + tt.body)
			}
			stage, err := readRequest(in)
			if stage != tt.stage {
				t.Fatalf("failed in %q with %v, want in %q", stage, err, tt.stage)
			}
			if tt.stage == "" {
				return
			}
			if got, ok := err.(*http1.SyntaxError); !ok || got.What != tt.what {
				t.Errorf("got %v, want %q", err, tt.what)
			}
		})
	}
}

func TestTransferEncodingInHTTP10(t *testing.T) {
	_, err := readRequest([]byte("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
	wantSyntaxError(t, err, -1, "Transfer-Encoding in HTTP/1.0")
}

// readRequest reads one whole request and tells where that failed, if it did.
func readRequest(in []byte) (stage string, err error) {
	r, n, err := http1.ParseRequest(in, nil, http1.Limits{})
	if err != nil {
		return "head", err
	}
	f, err := r.Framing()
	if err != nil {
		return "framing", err
	}
	body := http1.NewBody(f)
	if _, _, err := drain(&body, in[n:]); err != nil {
		return "body", err
	}
	if err := body.EOF(); err != nil {
		return "body", err
	}
	return "", nil
}
