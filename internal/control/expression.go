package control

import (
	"cmp"
	"fmt"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/expression"
)

// CheckExpression returns what is wrong with the expression of a check: with its text, or with what it looks at, which is
// never there in a check of this sort. The error has a hint where one helps. A check without an expression has none.
func CheckExpression(h triage.HealthCheck) error {
	if h.Expect.Expression == "" {
		return nil
	}
	program, err := expression.Compile(h.Expect.Expression)
	if err != nil {
		return err
	}
	uses := program.Uses()
	switch {
	case uses.TLS && h.Protocol.Asks() && !mayEncrypt(h):
		return &triage.Error{
			Kind:    triage.KindInvalid,
			Message: fmt.Sprintf("the expression looks at tls, and a check over %s is not encrypted", h.Protocol),
			Hint:    "use https, h2 or grpcs",
		}
	case (uses.Body || uses.JSON) && h.Protocol.IsGRPC():
		return &triage.Error{
			Kind:    triage.KindInvalid,
			Message: fmt.Sprintf("the expression looks at the content, and the answer of a check over %s is no text", h.Protocol),
			Hint:    "status is the code of the call, and header has what came with it",
		}
	}
	return nil
}

// mayEncrypt reports whether a check may come to speak TLS: at once, or where a redirect leads.
func mayEncrypt(h triage.HealthCheck) bool {
	follows := dialect.Get(cmp.Or(h.As, triage.Own)).Redirects != dialect.RedirectsJudged
	return h.Protocol.Encrypted() || h.Protocol == triage.HTTP && follows
}
