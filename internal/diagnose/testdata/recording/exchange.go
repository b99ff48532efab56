package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/triage-lb/triage"
)

// localPort stands for our end's port, which is another in each capture.
const localPort = 40000

// The parts of an exchange beside its facts. A part that is alike in the check is not written again, but named in the line
// "as check".
const (
	partSent = "sent"
	partHead = "head"
	partBody = "body"
	partTLS  = "tls"
	partGRPC = "grpc"
)

// formatExchange writes an exchange as files of an archive, the first of which has this name.
func formatExchange(name string, x, check *triage.Exchange) []txtar.File {
	same := sameParts(x, check)
	files := []txtar.File{{Name: name, Data: formatFacts(x, same)}}
	add := func(name string, text []byte) {
		if len(text) > 0 && !slices.Contains(same, name) {
			files = append(files, txtar.File{Name: name, Data: text})
		}
	}
	add(partSent, Text(x.Sent, true))
	add(partHead, Text(x.Head, true))
	add(partBody, Text(x.Body, false))
	if x.TLS != nil {
		add(partTLS, asJSON(x.TLS))
	}
	if x.GRPC != nil {
		add(partGRPC, asJSON(x.GRPC))
	}
	return files
}

// formatFacts writes what an exchange is, in a line each.
func formatFacts(x *triage.Exchange, same []string) []byte {
	var b bytes.Buffer
	line := func(wanted bool, key string, value any) {
		if wanted {
			fmt.Fprintf(&b, "%s: %v\n", key, value)
		}
	}
	times := fmt.Sprint("took ", x.Took.Round(time.Millisecond))
	for phase, d := range x.Timing.All {
		times += fmt.Sprintf(", %s %s", phase, d.Round(time.Millisecond))
	}
	line(true, "outcome", x.Outcome)
	line(x.Detail != "", "detail", strconv.Quote(x.Detail))
	line(x.Status != 0, "status", x.Status)
	line(x.Address.IsValid(), "address", x.Address)
	line(x.Local.IsValid(), "local", x.Local.Addr())
	line(x.Proxy != triage.NoProxy, "proxy", x.Proxy)
	line(true, "timing", times)
	line(x.BodySize != int64(len(x.Body)), "size", x.BodySize)
	line(x.Truncated, "truncated", x.Truncated)
	for _, url := range x.Redirects {
		line(true, "redirect", url)
	}
	line(len(same) > 0, "as check", strings.Join(same, " "))
	return b.Bytes()
}

// sameParts names the parts of an answer that are the check's.
func sameParts(x, check *triage.Exchange) (same []string) {
	if x == check {
		return nil
	}
	if len(x.Sent) > 0 && bytes.Equal(x.Sent, check.Sent) {
		same = append(same, partSent)
	}
	if len(x.Head) > 0 && bytes.Equal(undated(x.Head), undated(check.Head)) {
		same = append(same, partHead)
	}
	if len(x.Body) > 0 && bytes.Equal(x.Body, check.Body) {
		same = append(same, partBody)
	}
	if x.TLS != nil && check.TLS != nil && bytes.Equal(asJSON(x.TLS), asJSON(check.TLS)) {
		same = append(same, partTLS)
	}
	return same
}

// undated is a head without the value of its Date.
func undated(head []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(head) {
		if len(line) > 5 && strings.EqualFold(string(line[:5]), "date:") {
			line = line[:5]
		}
		kept = append(kept, line...)
	}
	return kept
}

func asJSON(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // plain structs of text and numbers
	}
	return append(b, '\n')
}

// parseExchange undoes formatExchange. check is nil for the check itself.
func parseExchange(parts []txtar.File, check *triage.Exchange) (*triage.Exchange, error) {
	x := &triage.Exchange{Timing: triage.NoTiming(), BodySize: -1}
	for line := range strings.Lines(string(parts[0].Data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if key == "as check" && check != nil {
			x.Sent, x.Head, x.Body, x.TLS = asIn(check, value)
			continue
		}
		if err := parseFact(x, key, value); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	for _, part := range parts[1:] {
		if err := parsePart(x, part); err != nil {
			return nil, fmt.Errorf("%s: %w", part.Name, err)
		}
	}
	if x.BodySize < 0 {
		x.BodySize = int64(len(x.Body))
	}
	return x, nil
}

// asIn returns the parts of the check that are named.
func asIn(check *triage.Exchange, names string) (sent, head, body []byte, facts *triage.TLSFacts) {
	for name := range strings.FieldsSeq(names) {
		switch name {
		case partSent:
			sent = check.Sent
		case partHead:
			head = check.Head
		case partBody:
			body = check.Body
		case partTLS:
			facts = check.TLS
		}
	}
	return sent, head, body, facts
}

func parseFact(x *triage.Exchange, key, value string) (err error) {
	switch key {
	case "outcome":
		err = x.Outcome.UnmarshalText([]byte(value))
	case "detail":
		x.Detail, err = strconv.Unquote(value)
	case "status":
		x.Status, err = strconv.Atoi(value)
	case "address":
		x.Address, err = netip.ParseAddrPort(value)
		x.Key.Address = x.Address
	case "local":
		var a netip.Addr
		a, err = netip.ParseAddr(value)
		x.Local = netip.AddrPortFrom(a, localPort)
	case "proxy":
		x.Proxy = triage.ProxyProtocol(value)
	case "timing":
		err = parseTiming(x, value)
	case "size":
		x.BodySize, err = strconv.ParseInt(value, 10, 64)
	case "truncated":
		x.Truncated = value == "true"
	case "redirect":
		x.Redirects = append(x.Redirects, value)
	default:
		err = errors.New("no fact of an exchange")
	}
	return err
}

func parseTiming(x *triage.Exchange, text string) error {
	for part := range strings.SplitSeq(text, ", ") {
		name, value, _ := strings.Cut(part, " ")
		d, err := time.ParseDuration(value)
		if err != nil {
			return err
		}
		if name == "took" {
			x.Took = d
			continue
		}
		p := -1
		for i := range x.Timing {
			if triage.Phase(i).String() == name {
				p = i
			}
		}
		if p < 0 {
			return fmt.Errorf("there is no phase %q", name)
		}
		x.Timing[p] = d
	}
	return nil
}

func parsePart(x *triage.Exchange, part txtar.File) (err error) {
	switch part.Name {
	case partSent:
		x.Sent, err = Bytes(part.Data, true)
	case partHead:
		x.Head, err = Bytes(part.Data, true)
	case partBody:
		x.Body, err = Bytes(part.Data, false)
	case partTLS:
		x.TLS = &triage.TLSFacts{}
		err = json.Unmarshal(part.Data, x.TLS)
	case partGRPC:
		x.GRPC = &triage.GRPCFacts{}
		err = json.Unmarshal(part.Data, x.GRPC)
	default:
		err = errors.New("no part of an exchange")
	}
	return err
}
