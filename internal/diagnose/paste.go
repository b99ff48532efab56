package diagnose

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/http1"
)

// Pasted makes an exchange of an answer that somebody has copied from a terminal: what "curl -i" or "curl -v" prints, with
// whatever line ends. Lines of curl -v that it has written itself ("* …") are left out; those that it has sent ("> …") are
// the request. The codes say what passes. The error says what is wrong with the text.
func Pasted(text []byte, codes triage.Matcher) (*triage.Exchange, error) {
	var sent, answer []string
	asking := false // a request without marks is being read
	for line := range strings.SplitSeq(unframed(string(text)), "\n") {
		switch {
		case strings.HasPrefix(line, "* "), strings.HasPrefix(line, "{ ["), strings.HasPrefix(line, "} ["):
		case strings.HasPrefix(line, "> "), line == ">":
			sent = append(sent, strings.TrimPrefix(strings.TrimPrefix(line, ">"), " "))
		case strings.HasPrefix(line, "< "), line == "<":
			answer = append(answer, strings.TrimPrefix(strings.TrimPrefix(line, "<"), " "))
		case len(answer) == 0 && strings.TrimSpace(line) == "":
			asking = false
		case len(answer) == 0 && (asking || looksLikeRequest(line)):
			asking = true
			sent = append(sent, line)
		default:
			answer = append(answer, line)
		}
	}
	if len(answer) == 0 || !strings.HasPrefix(answer[0], "HTTP/") {
		return nil, fmt.Errorf("the text does not begin with an answer's first line, as in HTTP/1.1 400 Bad Request")
	}
	blank := len(answer)
	for i, line := range answer {
		if strings.TrimSpace(line) == "" {
			blank = i
			break
		}
	}
	x := &triage.Exchange{Started: time.Now(), Timing: triage.NoTiming(), Outcome: triage.Matched}
	x.Head = []byte(strings.Join(answer[:blank], "\r\n") + "\r\n\r\n")
	x.Body = []byte(strings.Join(answer[min(blank+1, len(answer)):], "\n"))
	x.BodySize = int64(len(x.Body))
	if len(sent) > 0 {
		x.Sent = []byte(strings.TrimRight(strings.Join(sent, "\r\n"), "\r\n") + "\r\n\r\n")
	}
	r, _, err := http1.ParseResponse(asHTTP1(bytes.Clone(x.Head)), nil, http1.Limits{})
	if err != nil {
		return nil, fmt.Errorf("the text is not an answer in HTTP: %w", err)
	}
	if x.Status = r.Status; !codes.Match(r.Status) {
		x.Outcome = triage.CodeMismatch
	}
	return x, nil
}

// unframed is a text without what a terminal or an editor has put around it: carriage returns, a byte order mark, the
// command itself behind its prompt, and the same indentation of all lines.
func unframed(text string) string {
	text = strings.TrimPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "\ufeff")
	text = strings.TrimLeft(text, "\n")
	if command, rest, more := strings.Cut(text, "\n"); more && strings.Contains(command, "curl ") {
		text = rest
	}
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	if indent == "" || strings.Contains(indent, "\n") {
		return text
	}
	return strings.ReplaceAll("\n"+text, "\n"+indent, "\n")[1:]
}

// looksLikeRequest reports whether a line is the first of a request.
func looksLikeRequest(line string) bool {
	parts := strings.Fields(line)
	return len(parts) == 3 && strings.HasPrefix(parts[2], "HTTP/")
}
