package capture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triage-lb/triage/internal/dialect"
)

// accepts says what an application must answer so that the sender of a request calls it healthy, by the rows that fit:
// sentences.
func accepts(r *Request, rows []*dialect.Spec) []string {
	if len(rows) == 0 {
		return nil
	}
	sentences := []string{asks(r)}
	for _, topic := range []string{"host", "codes", "redirects", "body", "timing"} {
		sentences = append(sentences, agreed(rows, topic)...)
	}
	return sentences
}

// asks says what the application must serve.
func asks(r *Request) string {
	host := "without a Host"
	if r.Host.Form != HostAbsent {
		host = fmt.Sprintf("with Host %q", cut(r.Host.Value))
	}
	return fmt.Sprintf("The app must answer %s %s %s, whatever it answers to others.", r.Method, cut(r.Target), host)
}

// agreed is the first rule that rows have on a topic: said once if it is the same for all, else with the product's name.
func agreed(rows []*dialect.Spec, topic string) []string {
	var says []string
	for _, row := range rows {
		if i := slices.IndexFunc(row.Rules(), func(rule dialect.Rule) bool { return rule.Topic == topic }); i >= 0 {
			says = append(says, row.Rules()[i].Says)
		}
	}
	if len(slices.Compact(slices.Clone(says))) > 1 {
		for i := range says {
			says[i] = string(rows[i].Name) + ": " + says[i] + "."
		}
		return says
	}
	return []string{strings.ToUpper(says[0][:1]) + says[0][1:] + "."}
}

// cut shortens what a sender may have made as long as it likes.
func cut(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most-3] + "..."
	}
	return s
}
