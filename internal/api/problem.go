package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/triage-lb/triage"
)

// problem is an error as it crosses the wire (RFC 9457, application/problem+json), with triage's own members
// kind and hint.
type problem struct {
	Title  string      `json:"title" doc:"the HTTP status in words"`
	Status int         `json:"status" doc:"the HTTP status"`
	Kind   triage.Kind `json:"kind" enum:"invalid,not_found,conflict,denied,unavailable,internal"`
	Detail string      `json:"detail" doc:"what happened and where"`
	Hint   string      `json:"hint,omitempty" doc:"what to do next"`
}

const problemType = "application/problem+json"

// Error, GetStatus and ContentType make huma send the problem as it is.
func (p *problem) Error() string { return p.Detail }

// GetStatus is the HTTP status that the problem is sent with.
func (p *problem) GetStatus() int { return p.Status }

// ContentType is the media type that the problem is sent with.
func (p *problem) ContentType(string) string { return problemType }

// kinds maps each kind of error to its HTTP status. The server reads it from left to right, the client from
// right to left.
var kinds = [...]struct {
	kind   triage.Kind
	status int
}{
	{triage.KindInvalid, http.StatusUnprocessableEntity},
	{triage.KindNotFound, http.StatusNotFound},
	{triage.KindConflict, http.StatusConflict},
	{triage.KindDenied, http.StatusForbidden},
	{triage.KindUnavailable, http.StatusServiceUnavailable},
	{triage.KindInternal, http.StatusInternalServerError},
}

func statusOf(kind triage.Kind) int {
	for _, k := range kinds {
		if k.kind == kind {
			return k.status
		}
	}
	return http.StatusInternalServerError
}

// kindOf names the kind of an HTTP status. The table says it; other statuses that a server sends before a
// request reaches the balancer (400, 405, 413, 415) mean that the request is wrong.
func kindOf(status int) triage.Kind {
	for _, k := range kinds {
		if k.status == status {
			return k.kind
		}
	}
	if status/100 == 4 {
		return triage.KindInvalid
	}
	return triage.KindInternal
}

func newProblem(status int, kind triage.Kind, detail, hint string) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Kind: kind, Detail: detail, Hint: hint}
}

// problemOf words an error for the client. Only the message and hint of a [triage.Error] leave the process;
// anything else is our own fault and goes to the log.
func (s *Server) problemOf(ctx context.Context, err error) *problem {
	kind := triage.KindOf(err)
	if kind == triage.KindInternal {
		s.cfg.Log.ErrorContext(ctx, "admin request", "error", err)
	}
	return problemFrom(err)
}

func problemFrom(err error) *problem {
	kind := triage.KindOf(err)
	detail, hint := "an internal error", "the balancer's log says more"
	if e, ok := errors.AsType[*triage.Error](err); ok {
		detail, hint = e.Message, e.Hint
	}
	return newProblem(statusOf(kind), kind, detail, hint)
}

// send writes the problem outside of huma.
func (p *problem) send(w http.ResponseWriter) {
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client has gone: nobody to tell
}

// problemResponse describes problems in the OpenAPI document.
func problemResponse(a huma.API) *huma.Response {
	schema := a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem](), true, "")
	return &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{problemType: {Schema: schema}}}
}

// explainRefusal returns the transformer that turns huma's refusals of a request into problems: unknown or
// missing fields, wrong types, broken JSON.
func explainRefusal(registry huma.Registry) huma.Transformer {
	return func(ctx huma.Context, _ string, v any) (any, error) {
		refusal, ok := v.(*huma.ErrorModel)
		if !ok {
			return v, nil
		}
		p := newProblem(refusal.Status, kindOf(refusal.Status), refusal.Detail, "")
		var said []string
		for _, e := range refusal.Errors {
			where := strings.TrimPrefix(e.Location, "body.")
			switch e.Message {
			case validation.MsgUnexpectedProperty:
				said = append(said, fmt.Sprintf("unknown field %q", where))
				known := fieldsOf(registry, ctx.Operation())
				if near := triage.Nearest(where, known); near != "" && p.Hint == "" {
					p.Hint = fmt.Sprintf("did you mean %s?", near)
				} else if len(known) > 0 && p.Hint == "" {
					p.Hint = "the fields are " + strings.Join(known, ", ")
				}
			default:
				said = append(said, where+": "+e.Message)
			}
		}
		if len(said) > 0 {
			p.Detail = strings.Join(said, "; ")
		}
		return p, nil
	}
}

// fieldsOf lists the fields that the operation's body may have.
func fieldsOf(registry huma.Registry, op *huma.Operation) []string {
	if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil {
		return nil
	}
	schema := op.RequestBody.Content["application/json"].Schema
	if schema.Ref != "" {
		schema = registry.SchemaFromRef(schema.Ref)
	}
	fields := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		fields = append(fields, name)
	}
	slices.Sort(fields)
	return fields
}
