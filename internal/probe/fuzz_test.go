package probe

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// FuzzSession: whatever a server says, however the network cuts it and however it ends, the check ends with an outcome,
// the same for all cuts; and what passes is an answer that net/http accepts, and reads in the same way.
func FuzzSession(f *testing.F) {
	for _, a := range badinput.Answers() {
		if a.Beyond == "" && !a.Handshake {
			f.Add([]byte(a.Bytes(4<<10)), []byte{1, 7}, uint8(a.Then))
		}
	}
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.0 201 Made\r\n\r\nuntil the end"), []byte{}, uint8(badinput.Closes))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\nnext"), []byte{30}, uint8(badinput.Resets))
	f.Fuzz(func(t *testing.T, in, cuts []byte, end uint8) {
		c := settings(triage.HTTP)
		c.SuccessCodes = triage.MatchCodes(100, 599)
		if x := fuzzCuts(t, c, in, cuts, end); x.Outcome == triage.Matched {
			compareAnswer(t, in, x)
		}
	})
}

// FuzzTLSSession: the same for what comes in place of a TLS handshake, without anybody to compare with.
func FuzzTLSSession(f *testing.F) {
	for _, a := range badinput.Answers() {
		if a.Handshake {
			f.Add([]byte(a.Bytes(4<<10)), []byte{1, 7}, uint8(a.Then))
		}
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte, end uint8) {
		if x := fuzzCuts(t, settings(triage.HTTPS), in, cuts, end); x.Outcome == triage.Matched {
			t.Errorf("passed without a handshake: %d", x.Status)
		}
	})
}

// fuzzCuts feeds the bytes to a session in one piece, byte by byte, and in pieces as long as cuts says.
func fuzzCuts(t *testing.T, c triage.HealthCheck, in, cuts []byte, end uint8) *triage.Exchange {
	t.Helper()
	p, ending := Compile(dialect.Get(triage.Own), c), badinput.Ending(end%3)
	whole := feed(t, p, in, nil, ending)
	if whole.Outcome.Verdict() == triage.Neutral || whole.Outcome.Verdict() == triage.Pass && whole.Status == 0 {
		t.Errorf("%s %d (%s)", whole.Outcome, whole.Status, whole.Detail)
	}
	var places []int
	for i, at := 0, 0; len(cuts) > 0 && at < len(in); i++ {
		at += 1 + int(cuts[i%len(cuts)])
		places = append(places, at)
	}
	for _, places := range [][]int{places, each(1, len(in))} {
		x := feed(t, p, in, places, ending)
		if x.Outcome != whole.Outcome || x.Status != whole.Status || !bytes.Equal(x.Body, whole.Body) {
			t.Errorf("cut at %v: %s %d %q (%s); whole: %s %d %q (%s)", places,
				x.Outcome, x.Status, x.Body, x.Detail, whole.Outcome, whole.Status, whole.Body, whole.Detail)
		}
	}
	return whole
}

// compareAnswer reads an answer that has passed with net/http.
func compareAnswer(t *testing.T, in []byte, x *triage.Exchange) {
	t.Helper()
	rd := bufio.NewReader(bytes.NewReader(in))
	asked, err := http.NewRequest(http.MethodGet, "http://10.0.1.5:8000/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for {
		r, err := http.ReadResponse(rd, asked)
		if err != nil {
			t.Fatalf("passed with %d, net/http: %v", x.Status, err)
		}
		if r.StatusCode < 200 && r.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(r.Body)
		if err != nil && x.BodySize <= maxBody {
			t.Fatalf("passed with %d bytes of body, net/http: %v", x.BodySize, err)
		}
		if r.StatusCode != x.Status || !bytes.HasPrefix(body, x.Body) || int64(len(body)) != x.BodySize && x.BodySize <= maxBody {
			t.Errorf("%d with %d bytes, %q; net/http: %d with %d bytes, %q", x.Status, x.BodySize, x.Body, r.StatusCode, len(body), body)
		}
		return
	}
}
