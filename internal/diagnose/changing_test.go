package diagnose

import (
	"context"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// TestTargetsThatComeAndGoProveNothing: a server that answers every second request, or fails at random, seems to be cured by
// whatever is asked at the right moment.
func TestTargetsThatComeAndGoProveNothing(t *testing.T) {
	for _, failing := range []string{
		bare400,
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 503 Service Temporarily Unavailable\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n",
		djangoSSL,
		"",
	} {
		for _, period := range []int{2, 3} {
			n := 0
			ask := func(_ context.Context, v dialect.Variation) *triage.Exchange {
				if n++; n%period == 0 {
					return exchange(plan.Vary(v), failing)
				}
				return exchange(plan.Vary(v), ok)
			}
			d := Ask(context.Background(), exchange(plan, failing), Means{Ask: ask, Hosts: []string{"shop.example"}})
			if d.Certainty == triage.Proved && d.Code != comesAndGoes.Code {
				t.Errorf("%.30q, failing every %d times: %s is proved (%s), asked %q", failing, period, d.Code, d.Proof, d.Asked)
			}
			if len(d.Asked) > MaxQuestions {
				t.Errorf("%d questions", len(d.Asked))
			}
		}
	}
}

// TestSameSilence: FIN or RST without a byte is one way to answer; a byte, or a code, makes another.
func TestSameSilence(t *testing.T) {
	closed := newCase(&triage.Exchange{Outcome: triage.ClosedBeforeAnswer})
	reset := newCase(&triage.Exchange{Outcome: triage.ResetBeforeAnswer})
	begun := newCase(&triage.Exchange{Outcome: triage.ResetBeforeAnswer, Head: []byte("HTTP/1.1 200")})
	if !closed.same(reset) || !reset.same(closed) || closed.same(begun) || closed.same(newCase(&triage.Exchange{Outcome: triage.Matched, Status: 200})) {
		t.Error("silences are told apart by how the connection ended")
	}
}
