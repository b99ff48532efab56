package http1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/triage-lb/triage/internal/http1"
)

func TestHeadEnd(t *testing.T) {
	for _, tt := range []struct {
		in string
		n  int
	}{
		{"", 0},
		{"\r", 0},
		{"HTTP/1.1 200 OK", 0},
		{"HTTP/1.1 200 OK\r\n", 0},
		{"HTTP/1.1 200 OK\r\n\r", 0},
		{"HTTP/1.1 200 OK\r\n\r\n", 19},
		{"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n", 25},
		{"HTTP/1.1 200 OK\r\n\rX\r\n\r\n", 23},
		{"HTTP/1.1 200 OK\n\nbody", 17},
		{"HTTP/1.1 200 OK\n\r\nbody", 18},
		{"\r\nHTTP/1.1", 2},
		{"\nHTTP/1.1", 1},
	} {
		whole, _ := http1.HeadEnd([]byte(tt.in), 0)
		if whole != tt.n {
			t.Errorf("HeadEnd(%q) = %d, want %d", tt.in, whole, tt.n)
		}
		if dripped := dripHead(t, []byte(tt.in)); dripped != tt.n {
			t.Errorf("HeadEnd(%q) byte by byte = %d, want %d", tt.in, dripped, tt.n)
		}
	}
}

func TestHeadEndToleratesAnyFrom(t *testing.T) {
	for _, from := range []int{-1, 100} {
		if n, next := http1.HeadEnd([]byte("HTTP/1.1 200 OK\r\n"), from); n != 0 || next < 15 {
			t.Errorf("HeadEnd from %d = %d, %d", from, n, next)
		}
	}
}

// dripHead finds the end of a head that comes one byte at a time, and checks that no call looks
// again at more than the last line end.
func dripHead(t *testing.T, in []byte) int {
	t.Helper()
	from := 0
	for i := range len(in) + 1 {
		n, next := http1.HeadEnd(in[:i], from)
		if n > 0 {
			return n
		}
		if next < from || next < i-2 || next > i {
			t.Fatalf("HeadEnd(%q, %d) resumes at %d", in[:i], from, next)
		}
		from = next
	}
	return 0
}

func TestLimits(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n"
	for _, tt := range []struct {
		name   string
		in     string
		limits http1.Limits
		want   error
	}{
		{"exactly the limit", head, http1.Limits{Head: len(head)}, nil},
		{"content does not count", head + "content", http1.Limits{Head: len(head)}, nil},
		{"one byte over", head, http1.Limits{Head: len(head) - 1}, http1.ErrTooLarge},
		{"can no longer fit", head[:20], http1.Limits{Head: 20}, http1.ErrTooLarge},
		{"can still fit", head[:20], http1.Limits{Head: 21}, http1.ErrIncomplete},
		{"exactly so many fields", head, http1.Limits{Fields: 2}, nil},
		{"one field over", head, http1.Limits{Fields: 1}, http1.ErrTooLarge},
		{"default size", "HTTP/1.1 200 " + strings.Repeat("x", http1.DefaultMaxHead), http1.Limits{}, http1.ErrTooLarge},
		{"default fields", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", http1.DefaultMaxFields+1), http1.Limits{}, http1.ErrTooLarge},
		{"just within default fields", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", http1.DefaultMaxFields) + "\r\n", http1.Limits{}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, n, err := http1.ParseResponse([]byte(tt.in), nil, tt.limits)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if (n > 0) != (tt.want == nil) {
				t.Errorf("consumed %d with error %v", n, err)
			}
			request := strings.Replace(tt.in, "HTTP/1.1 200 OK\r\nA", "GET /p HTTP/1.0\r\nA", 1)
			if request == tt.in {
				return
			}
			if _, _, err := http1.ParseRequest([]byte(request), nil, tt.limits); !errors.Is(err, tt.want) {
				t.Errorf("as a request: error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestFields(t *testing.T) {
	r, _, err := http1.ParseResponse([]byte("HTTP/1.1 200 OK\r\n"+
		"Connection: Upgrade ,\tKEEP-Alive\r\n"+
		"connection:close\r\n"+
		"Empty:\r\n"+
		"Spaces: \t a b\t \r\n"+
		"K: kelvin\r\n\r\n"), nil, http1.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, value string
		ok          bool
	}{
		{"connection", "Upgrade ,\tKEEP-Alive", true},
		{"EMPTY", "", true},
		{"Spaces", "a b", true},
		{"absent", "", false},
		{"\u212a", "", false}, // the Kelvin sign is no k
	} {
		if value, ok := http1.Get(r.Fields, tt.name); string(value) != tt.value || ok != tt.ok {
			t.Errorf("Get(%q) = %q, %v, want %q, %v", tt.name, value, ok, tt.value, tt.ok)
		}
	}
	for _, tt := range []struct {
		token string
		want  bool
	}{
		{"upgrade", true}, {"keep-alive", true}, {"Close", true}, {"keep", false}, {"a b", false},
	} {
		if got := http1.HasToken(r.Fields, "Connection", tt.token); got != tt.want {
			t.Errorf("HasToken(%q) = %v, want %v", tt.token, got, tt.want)
		}
	}
}
