package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// dialectsCommand shows the table of dialects: what "triage check --as NAME" sends, and where that is known from.
type dialectsCommand struct {
	Name string `arg:"" optional:"" name:"NAME" help:"Show this one with its request, its rules and their sources: a name or what people say for it, such as alb or k8s."`
	JSON bool   `help:"Print one JSON object."`
}

// Run prints the table, or one row of it.
func (c *dialectsCommand) Run(env *environment) error {
	specs := dialect.All()
	if c.Name != "" {
		spec, err := dialect.Lookup(c.Name)
		if err != nil {
			return err
		}
		specs = []*dialect.Spec{spec}
	}
	if c.JSON {
		report := dialectsJSON{Schema: "triage.dialects/1"}
		for _, s := range specs {
			report.Dialects = append(report.Dialects, newDialectJSON(s))
		}
		return printJSON(env.stdout, report)
	}
	r := dialectsReport{newTerminal(env, env.stdout)}
	if c.Name != "" {
		r.one(specs[0])
		return nil
	}
	for _, s := range specs {
		r.line(s)
	}
	return nil
}

// dialectsReport prints rows for people.
type dialectsReport struct{ out *terminal }

// dialectWidth is the width of the column of names.
const dialectWidth = 16

// line is a row in the list of all.
func (r dialectsReport) line(s *dialect.Spec) {
	facts := fmt.Sprintf("%s; %s passes", joinProtocols(s.Protocols), s.Codes)
	if len(s.Aliases) > 0 {
		facts += "; also " + strings.Join(s.Aliases, ", ")
	}
	indent := strings.Repeat(" ", dialectWidth)
	r.out.printf("%s%s\n", r.out.bold(fmt.Sprintf("%-*s", dialectWidth, s.Name)), s.Title)
	for text := range strings.SplitSeq(wrap(facts, lineWidth-dialectWidth, ""), "\n") {
		r.out.printf("%s%s\n", indent, r.out.dim(text))
	}
}

// topicTitles are the labels of the topics.
var topicTitles = map[string]string{
	"protocols": "Protocols", "request": "Request", "host": "Host", "codes": "Codes", "redirects": "Redirects", "body": "Body", "tls": "TLS",
	"close": "Close", "timing": "Timing", "states": "States", "words": "Words", "not here": "Not here",
}

// one is a row with all that is known of it.
func (r dialectsReport) one(s *dialect.Spec) {
	r.out.printf("%s  %s\n", r.out.bold(string(s.Name)), s.Title)
	if len(s.Aliases) > 0 {
		r.paragraph("Also", strings.Join(s.Aliases, ", "))
	}
	r.paragraph("Checks", joinProtocols(s.Protocols))
	r.paragraph("Known", fmt.Sprintf("%s, %d of them assumed: nobody has verified what is marked ?", count(len(s.Facts), "fact"), len(s.Assumed())))
	r.out.printf("\n")
	for line := range strings.Lines(string(s.AppendRequest(nil, dialect.Example()))) {
		r.out.printf("    %s\\r\\n\n", strings.TrimSuffix(line, "\r\n"))
	}
	r.out.printf("%s\n", r.out.dim("    (to app.example:8080, which is 10.0.1.5)"))
	for _, p := range s.OverHTTP2() {
		r.out.printf("\n")
		for _, line := range fieldLines(s, p) {
			r.out.printf("    %s\n", line)
		}
		r.out.printf("%s\n", r.out.dim(fmt.Sprintf("    (the same over %s)", p)))
	}
	for _, topic := range dialect.Topics() {
		r.topic(s, topic)
	}
}

// fieldLines is the fields of the example over HTTP/2, one on each line.
func fieldLines(s *dialect.Spec, p triage.Protocol) []string {
	var lines []string
	for _, h := range s.AppendFields(nil, dialect.ExampleOver(p)) {
		lines = append(lines, h.Name+": "+h.Value)
	}
	return lines
}

// topic prints the rules of one topic, and below them what they stand on.
func (r dialectsReport) topic(s *dialect.Spec, topic string) {
	var says []string
	for _, rule := range s.Rules() {
		if rule.Topic == topic {
			says = append(says, wrap(rule.Says, lineWidth-labelWidth, ""))
		}
	}
	for _, f := range s.Facts {
		if f.Topic != topic {
			continue
		}
		says = append(says, wrap(factText(f), lineWidth-labelWidth, "  "))
	}
	if len(says) > 0 {
		r.out.printf("\n")
		r.out.label(topicTitles[topic], strings.Join(says, "\n"))
	}
}

// factText is a fact with what it stands on.
func factText(f dialect.Fact) string {
	if f.Confidence == dialect.Assumed {
		return "? " + f.Says + " (assumed)"
	}
	return "- " + f.Says + " (" + f.Evidence() + ")"
}

func (r dialectsReport) paragraph(label, text string) {
	r.out.label(label, wrap(text, lineWidth-labelWidth, ""))
}

// dialectsJSON is the contract of triage dialects --json: fields are only ever added.
type dialectsJSON struct {
	Schema   string        `json:"schema"`
	Dialects []dialectJSON `json:"dialects"`
}

type dialectJSON struct {
	Name         triage.Dialect    `json:"name"`
	Aliases      []string          `json:"aliases"`
	Title        string            `json:"title"`
	Protocols    []triage.Protocol `json:"protocols"`
	SuccessCodes string            `json:"success_codes"`
	LegalCodes   string            `json:"legal_codes"`
	Request      string            `json:"request"` // to app.example:8080, which is 10.0.1.5
	HTTP2        []requestJSON     `json:"http2"`   // the same over HTTP/2, and in gRPC
	GRPC         *grpcJSON         `json:"grpc,omitempty"`
	Proxy        []string          `json:"proxy_protocol,omitempty"` // versions of the header that can be switched on
	Rules        []dialect.Rule    `json:"rules"`
	Timing       timingJSON        `json:"timing"`
	Facts        []factJSON        `json:"facts"`
}

// requestJSON is a request over HTTP/2.
type requestJSON struct {
	Protocol triage.Protocol `json:"protocol"`
	Fields   []string        `json:"fields"` // "name: value", in order
}

// grpcJSON is what passes in gRPC.
type grpcJSON struct {
	SuccessCodes string `json:"success_codes"`
	LegalCodes   string `json:"legal_codes"`
	Serving      bool   `json:"serving"` // the health service is asked, and must answer SERVING
}

// timingJSON has the defaults of a dialect and their ranges. What is absent does not exist.
type timingJSON struct {
	Interval           string `json:"interval,omitempty"`
	MinInterval        string `json:"min_interval,omitempty"`
	MaxInterval        string `json:"max_interval,omitempty"`
	Timeout            string `json:"timeout,omitempty"`
	MinTimeout         string `json:"min_timeout,omitempty"`
	MaxTimeout         string `json:"max_timeout,omitempty"`
	HealthyThreshold   int    `json:"healthy_threshold,omitempty"`
	UnhealthyThreshold int    `json:"unhealthy_threshold,omitempty"`
	MinThreshold       int    `json:"min_threshold,omitempty"`
	MaxThreshold       int    `json:"max_threshold,omitempty"`
	EndToStart         bool   `json:"end_to_start"` // the interval counts from the end of a check
}

type factJSON struct {
	Topic      string `json:"topic"`
	Says       string `json:"says"`
	Confidence string `json:"confidence"`
	Source     string `json:"source,omitempty"` // absent if it is assumed
}

func newDialectJSON(s *dialect.Spec) dialectJSON {
	t := s.Timing
	d := dialectJSON{
		Name:         s.Name,
		Aliases:      append([]string{}, s.Aliases...),
		Title:        s.Title,
		Protocols:    s.Protocols,
		SuccessCodes: s.Codes.String(),
		LegalCodes:   s.LegalCodes.String(),
		Request:      string(s.AppendRequest(nil, dialect.Example())),
		Rules:        s.Rules(),
		Timing: timingJSON{
			Interval: jsonDuration(t.Interval), MinInterval: jsonDuration(t.MinInterval), MaxInterval: jsonDuration(t.MaxInterval),
			Timeout: jsonDuration(t.Timeout), MinTimeout: jsonDuration(t.MinTimeout), MaxTimeout: jsonDuration(t.MaxTimeout),
			HealthyThreshold: t.Thresholds.Healthy, UnhealthyThreshold: t.Thresholds.Unhealthy,
			MinThreshold: t.MinThreshold, MaxThreshold: t.MaxThreshold,
			EndToStart: t.EndToStart,
		},
		HTTP2: []requestJSON{},
		Facts: []factJSON{},
	}
	for _, p := range s.OverHTTP2() {
		d.HTTP2 = append(d.HTTP2, requestJSON{p, fieldLines(s, p)})
	}
	if s.Speaks(triage.GRPC) {
		usual, legal := s.PassingCodes(triage.GRPC)
		d.GRPC = &grpcJSON{usual.String(), legal.String(), s.GRPC.Health()}
	}
	for _, v := range s.Proxy {
		d.Proxy = append(d.Proxy, string(v))
	}
	for _, f := range s.Facts {
		d.Facts = append(d.Facts, factJSON{f.Topic, f.Says, f.Confidence.String(), f.Source})
	}
	return d
}

// jsonDuration is a duration as Go and the config file write it; "" for one that does not exist.
func jsonDuration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
