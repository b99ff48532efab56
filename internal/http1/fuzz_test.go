package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/triage-lb/triage/internal/http1"
)

// The differential targets hold this package to one rule, in two halves.
//
// What net/http rejects is rejected here, for good. Net/http rejects a head if ReadResponse or
// ReadRequest, given its complete lines, returns an error other than io.EOF and
// io.ErrUnexpectedEOF. (A last line without LF is left out, since net/http takes the end of the
// input for the end of the line.) Rejected here for good means: an error of the parser other than
// ErrIncomplete, or one of Framing.
//
// What is accepted here, net/http accepts and reads in the same way.
//
// For bodies both halves hold too: an error of net/http while it reads one to its end counts unless
// it says that the input has ended.

func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		nginxHead,
		"HTTP/1.1 200\r\n\r\n",
		"HTTP/1.0 302 Found\r\nLocation: https://a/\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A, B\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nD : e\r\n\r\n",
		"HTTP/1.1 204 No Content\nA: b\n\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	} {
		for _, method := range []string{"GET", "HEAD", "CONNECT"} {
			f.Add([]byte(seed), method)
		}
	}
	f.Fuzz(compareResponse)
}

// compareResponse reads the head of a response to method here and with net/http.
func compareResponse(t *testing.T, in []byte, method string) {
	t.Helper()
	ours, n, err := http1.ParseResponse(in, nil, http1.Limits{})
	checkHead(t, in, n, err, func(b []byte) error {
		_, _, err := http1.ParseResponse(b, nil, http1.Limits{})
		return err
	})
	checkPlausible(t, in, err)
	var framing http1.Framing
	if err == nil {
		framing, err = ours.Framing(method)
	}
	rd := bufio.NewReader(bytes.NewReader(in[:bytes.LastIndexByte(in, '\n')+1]))
	theirs, theirErr := http.ReadResponse(rd, &http.Request{Method: method})
	checkVerdict(t, err, theirErr)
	if err != nil || theirErr != nil {
		return
	}
	if theirs.StatusCode != ours.Status || theirs.ProtoMajor != 1 || theirs.ProtoMinor != ours.Minor {
		t.Errorf("status line: HTTP/1.%d %d, net/http: %s %d", ours.Minor, ours.Status, theirs.Proto, theirs.StatusCode)
	}
	checkFields(t, ours.Fields, theirs.Header)
	if method == "CONNECT" && ours.Status < 300 {
		return // net/http's Transport deals with tunnels, ReadResponse does not
	}
	want := framingOf(theirs.TransferEncoding, theirs.ContentLength, http1.UntilClose)
	if theirs.Body == http.NoBody && (theirs.ContentLength != 0 || framing.Kind == http1.NoBody) {
		want = http1.Framing{}
	}
	if framing != want {
		t.Errorf("framing %v %d, net/http: %v %d", framing.Kind, framing.Length, want.Kind, want.Length)
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		albRequest,
		"OPTIONS / HTTP/1.0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
		"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n",
		"GET http://[::ffff:1.2.3.4]:80/a%20b?c%d HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET https://a.b:?c HTTP/1.0\r\n\r\n",
		"GET http://u:p@a/ HTTP/1.0\r\n\r\n",
		"GET http://a:b/ HTTP/1.0\r\n\r\n",
		"GET http://a:1:2/ HTTP/1.0\r\n\r\n",
		"GET http://[::1/ HTTP/1.0\r\n\r\n",
		"GET http://[fe80::1%25en0]/ HTTP/1.0\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET //a:b/?%zz HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: trailer\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(compareRequest)
}

// compareRequest reads the head of a request here and with net/http.
func compareRequest(t *testing.T, in []byte) {
	t.Helper()
	ours, n, err := http1.ParseRequest(in, nil, http1.Limits{})
	checkHead(t, in, n, err, func(b []byte) error {
		_, _, err := http1.ParseRequest(b, nil, http1.Limits{})
		return err
	})
	var framing http1.Framing
	if err == nil {
		framing, err = ours.Framing()
	}
	rd := bufio.NewReader(bytes.NewReader(in[:bytes.LastIndexByte(in, '\n')+1]))
	theirs, theirErr := http.ReadRequest(rd)
	checkVerdict(t, err, theirErr)
	if err != nil || theirErr != nil {
		return
	}
	if theirs.Method != string(ours.Method) || theirs.RequestURI != string(ours.Target) || theirs.ProtoMajor != 1 || theirs.ProtoMinor != ours.Minor {
		t.Errorf("request line: %q %q HTTP/1.%d, net/http: %q %q %s", ours.Method, ours.Target, ours.Minor, theirs.Method, theirs.RequestURI, theirs.Proto)
	}
	if host, _ := http1.Get(ours.Fields, "Host"); theirs.URL.Host == "" && theirs.Host != string(host) {
		t.Errorf("host %q, net/http: %q", host, theirs.Host)
	}
	checkFields(t, ours.Fields, theirs.Header)
	want := framingOf(theirs.TransferEncoding, theirs.ContentLength, http1.NoBody)
	if _, declared := http1.Get(ours.Fields, "Content-Length"); want.Kind == http1.Length && !declared {
		want = http1.Framing{}
	}
	if framing != want {
		t.Errorf("framing %v %d, net/http: %v %d", framing.Kind, framing.Length, want.Kind, want.Length)
	}
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\nnext",
		"0\r\nA: b\r\nC:\r\n\r\n",
		"0\r\nA : b\r\n\r\n",
		"0\r\nA: b\r\n c\r\n\r\n",
		"5\nhello\r\n0\r\n\r\n",
		"5 \r\nhello\r\n0\r\n\r\n",
		"5;\rx\r\nhello\r\n0\r\n\r\n",
		"0x5\r\nhello\r\n0\r\n\r\n",
		"ffffffffffffffff\r\nhello",
		"7fffffffffffffff\r\nhello",
		"000000000000005\r\nhello\r\n000\r\n\r\n",
		"5\r\nhello\r0\r\n\r\n",
		"5\r\nhello\n0\r\n\r\n",
		"1;" + strings.Repeat("x", 1100) + "\r\nx\r\n0\r\n\r\n",
		strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\nx\r\n", 20),
		"0\r\nA: " + strings.Repeat("x", 5000) + "\r\n\r\n",
	} {
		f.Add([]byte(seed), []byte{1, 2}, int64(-1))
	}
	f.Add([]byte("hello"), []byte{0}, int64(3))
	f.Add([]byte("hello"), []byte{}, int64(6))
	f.Add([]byte("hello"), []byte{2}, int64(-2))
	f.Fuzz(compareBody)
}

// compareBody reads what follows a head in one piece, in pieces cut by cuts, and with net/http. The
// content has this length; it is chunked for -1 and lasts until the connection closes for -2.
func compareBody(t *testing.T, in, cuts []byte, length int64) {
	t.Helper()
	framing, fields := http1.Framing{Kind: http1.UntilClose}, ""
	switch {
	case length == -1:
		framing, fields = http1.Framing{Kind: http1.Chunked}, "Transfer-Encoding: chunked\r\n"
	case length >= 0:
		framing = http1.Framing{Kind: http1.Length, Length: length}
		fields = "Content-Length: " + strconv.FormatInt(length, 10) + "\r\n"
	}
	body := http1.NewBody(framing)
	content, n, err := drain(&body, in)
	checkCuts(t, framing, in, cuts, body, content, n)

	rd := bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\n"+fields+"\r\n"), bytes.NewReader(in)))
	theirs, theirErr := http.ReadResponse(rd, nil)
	if theirErr != nil {
		t.Fatal(theirErr)
	}
	theirContent, theirErr := io.ReadAll(theirs.Body)
	if theirErr != nil && !truncated(theirErr) && err == nil {
		t.Errorf("accepted, net/http: %v", theirErr)
	}
	if body.EOF() != nil {
		return
	}
	left, _ := io.ReadAll(rd)
	if theirErr != nil || !bytes.Equal(content, theirContent) || len(left) != len(in)-n {
		t.Errorf("%q and %d bytes left, net/http: %q and %d bytes left, %v", content, len(in)-n, theirContent, len(left), theirErr)
	}
}

// checkHead checks what a parser has made of in, given what it makes of the beginnings of in.
func checkHead(t *testing.T, in []byte, n int, err error, parse func([]byte) error) {
	t.Helper()
	end, _ := http1.HeadEnd(in, 0)
	if dripped := dripHead(t, in); dripped != end {
		t.Errorf("HeadEnd %d, byte by byte %d", end, dripped)
	}
	switch {
	case err == nil && n != end:
		t.Errorf("consumed %d, HeadEnd %d", n, end)
	case err != nil && n != 0:
		t.Errorf("consumed %d with error %v", n, err)
	case errors.Is(err, http1.ErrIncomplete) && end != 0:
		t.Errorf("%v, HeadEnd %d", err, end)
	}
	// More bytes never change a final verdict; half of in stands for all its beginnings.
	switch early := parse(in[:len(in)/2]); {
	case errors.Is(early, http1.ErrIncomplete):
	case early == nil && err != nil, early != nil && err == nil:
		t.Errorf("error %v, of its first half %v", err, early)
	}
}

// checkPlausible checks that Plausible and ParseResponse, which returned err, agree.
func checkPlausible(t *testing.T, in []byte, err error) {
	t.Helper()
	var syntax *http1.SyntaxError
	malformed := errors.As(err, &syntax)
	if http1.Plausible(in) {
		if malformed && syntax.Offset < len("HTTP/1.1 200") {
			t.Errorf("plausible, but %v", err)
		}
	} else if !malformed {
		t.Errorf("not plausible, but %v", err)
	}
	for i := range min(len(in), 20) {
		if !http1.Plausible(in[:i]) && http1.Plausible(in[:i+1]) {
			t.Errorf("%q is not plausible, with one byte more it is", in[:i])
		}
	}
}

// checkVerdict checks both halves of the rule for a head.
func checkVerdict(t *testing.T, ours, theirs error) {
	t.Helper()
	theirsIsFinal := theirs != nil && !truncated(theirs)
	if theirsIsFinal && (ours == nil || errors.Is(ours, http1.ErrIncomplete)) {
		t.Errorf("%v, net/http: %v", ours, theirs)
	}
	if ours == nil && theirs != nil {
		t.Errorf("accepted, net/http: %v", theirs)
	}
}

// truncated tells whether net/http's error only says that the input has ended too early. For
// trailers it has texts of its own: it looks for their end first, and complains if there is none.
func truncated(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		err.Error() == "http: unexpected EOF reading trailer" ||
		err.Error() == "http: suspiciously long trailer after chunked body"
}

// checkFields compares fields with those that net/http has read, save for those that it takes out
// of the header, adds to it, or merges.
func checkFields(t *testing.T, ours []http1.Field, theirs http.Header) {
	t.Helper()
	special := []string{"Cache-Control", "Connection", "Content-Length", "Host", "Trailer", "Transfer-Encoding"}
	read := http.Header{}
	for _, f := range ours {
		read.Add(string(f.Name), string(f.Value))
	}
	for _, name := range special {
		read.Del(name)
		theirs.Del(name)
	}
	if len(read) != len(theirs) {
		t.Errorf("fields %q, net/http: %q", read, theirs)
	}
	for name, values := range read {
		if !slices.Equal(values, theirs[name]) {
			t.Errorf("%s: %q, net/http: %q", name, values, theirs[name])
		}
	}
}

// framingOf translates net/http's view. Undeclared is what no declaration means.
func framingOf(codings []string, length int64, undeclared http1.FramingKind) http1.Framing {
	switch {
	case len(codings) > 0:
		return http1.Framing{Kind: http1.Chunked}
	case length < 0:
		return http1.Framing{Kind: undeclared}
	}
	return http1.Framing{Kind: http1.Length, Length: length}
}

// checkCuts reads in once more, in pieces as long as the bytes of cuts say, and compares.
func checkCuts(t *testing.T, framing http1.Framing, in, cuts []byte, whole http1.Body, content []byte, n int) {
	t.Helper()
	body := http1.NewBody(framing)
	var pieces []byte
	at := 0
	for i := 0; at < len(in) && !body.Done(); i++ {
		size := 1
		if len(cuts) > 0 {
			size = 1 + int(cuts[i%len(cuts)])
		}
		data, used, err := drain(&body, in[at:min(at+size, len(in))])
		pieces = append(pieces, data...)
		at += used
		if err != nil {
			break
		}
	}
	if !bytes.Equal(pieces, content) || at != n || body.Done() != whole.Done() || errorText(body.EOF()) != errorText(whole.EOF()) {
		t.Errorf("in pieces %q, %d bytes, %v; as one %q, %d bytes, %v", pieces, at, body.EOF(), content, n, whole.EOF())
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
