// Package api is the balancer's admin address: JSON over HTTP for programs, described by OpenAPI, with the
// typed [Client] that the command line uses.
//
// A [Server] is made by [New], takes its address with Listen before anything else of the balancer starts, and
// serves while Run runs. It decides nothing: every request becomes one call of the [Control] it was given.
// Only this machine can reach it (a loopback address or a unix socket), and still every request passes the
// guard first, because a web page in this machine's browser can send requests here too.
//
// The package holds no state of the balancer and shows no web pages. Server and Client may be used by many
// goroutines at once.
package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

// Control is what the server needs of the balancer; [control.Control] is it. All methods may be called at
// once and may wait; their errors are [*triage.Error] where people can do something about them.
type Control interface {
	Status(ctx context.Context) control.Status
	Reload(ctx context.Context) (control.ReloadResult, error)
	SetHealthCheck(ctx context.Context, group triage.GroupName, edit control.HealthCheckEdit) (control.EditResult, error)
	AddTarget(ctx context.Context, group triage.GroupName, target triage.Target) (control.EditResult, error)
	RemoveTarget(ctx context.Context, group triage.GroupName, target triage.TargetID) (control.EditResult, error)
	Drain(ctx context.Context, group triage.GroupName, target triage.TargetID, drain bool) (control.EditResult, error)
}

// The paths of the API. Where a path names a target, its colon and brackets may be percent-encoded or not.
const (
	pathStatus      = "/v1/status"
	pathReload      = "/v1/reload"
	pathHealthCheck = "/v1/groups/{group}/health-check"
	pathTargets     = "/v1/groups/{group}/targets"
	pathTarget      = "/v1/groups/{group}/targets/{target}"
	pathDrain       = "/v1/groups/{group}/targets/{target}/drain"
	pathUndrain     = "/v1/groups/{group}/targets/{target}/undrain"
	pathLive        = "/livez"
	pathReady       = "/readyz"
	pathMetrics     = "/metrics"
	pathOpenAPI     = "/openapi.json"
)

// maxBody bounds the body of a request, in bytes. The largest one that means anything is a few hundred.
const maxBody = 1 << 20

// routes is the mux with a list of what was registered on it, so that a test can walk every route.
type routes struct {
	*http.ServeMux
	patterns []string // "METHOD /path"
}

// HandleFunc registers a route; huma and this package register theirs through it alone.
func (r *routes) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	r.patterns = append(r.patterns, pattern)
	r.ServeMux.HandleFunc(pattern, h)
}

// newRoutes registers every operation.
func newRoutes(s *Server) *routes {
	r := &routes{ServeMux: http.NewServeMux()}
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	a := humago.New(r, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI:    "3.1.0",
			Info:       &huma.Info{Title: "triage", Version: s.cfg.Version, Description: "The admin address of a triage load balancer."},
			Components: &huma.Components{Schemas: registry},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{explainRefusal(registry)},
	})
	s.registerReads(a)
	s.registerEdits(a)
	s.registerProbes(a)
	if s.cfg.Metrics != nil {
		s.registerMetrics(a)
	}
	registerOpenAPI(r, a)
	return r
}

// operation registers one operation. Every error that its function returns, and every request that does not
// fit its input, is answered as a problem.
func operation[I, O any](s *Server, a huma.API, op huma.Operation, f func(context.Context, *I) (O, error)) {
	op.MaxBodyBytes = maxBody
	op.Responses = map[string]*huma.Response{"default": problemResponse(a)}
	type answer struct{ Body O }
	huma.Register(a, op, func(ctx context.Context, in *I) (*answer, error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, s.problemOf(ctx, err)
		}
		return &answer{out}, nil
	})
}

func (s *Server) registerReads(a huma.API) {
	type input struct {
		Group triage.GroupName `query:"group" doc:"only this group, and the listeners that lead to it"`
	}
	operation(s, a, huma.Operation{
		Method: http.MethodGet, Path: pathStatus, OperationID: "status", Summary: "Listeners, groups and targets, with health and traffic",
	}, func(ctx context.Context, in *input) (control.Status, error) {
		status := s.cfg.Control.Status(ctx)
		if in.Group == "" {
			return status, nil
		}
		return only(status, in.Group)
	})
}

// only cuts the status down to one group.
func only(status control.Status, name triage.GroupName) (control.Status, error) {
	groups := status.Groups
	i := slices.IndexFunc(groups, func(g control.GroupStatus) bool { return g.Name == name })
	if i < 0 {
		names := make([]string, len(groups))
		for i, g := range groups {
			names[i] = string(g.Name)
		}
		e := &triage.Error{Kind: triage.KindNotFound, Message: fmt.Sprintf("there is no group %q", name)}
		if near := triage.Nearest(string(name), names); near != "" {
			e.Hint = fmt.Sprintf("did you mean %s?", near)
		} else {
			e.Hint = "triage status lists the groups"
		}
		return control.Status{}, e
	}
	status.Groups = groups[i : i+1]
	status.Listeners = slices.DeleteFunc(slices.Clone(status.Listeners), func(l control.ListenerStatus) bool { return l.Forward != name })
	return status, nil
}

// nothing is the body of an edit that says all in its path. It is optional, but what it holds is looked at,
// so that a setting sent to the wrong path is refused instead of ignored.
type nothing struct{}

func (s *Server) registerEdits(a huma.API) {
	operation(s, a, huma.Operation{
		Method: http.MethodPost, Path: pathReload, OperationID: "reload", Summary: "Read the config file again",
		Description: "Answers when the file is in effect. A file that is wrong is refused, and the config before it stays.",
	}, func(ctx context.Context, _ *struct{ Body *nothing }) (control.ReloadResult, error) {
		return s.cfg.Control.Reload(ctx)
	})
	operation(s, a, huma.Operation{
		Method: http.MethodPatch, Path: pathHealthCheck, OperationID: "set-health-check", Summary: "Edit how a group is checked",
		Description: "Changes the settings that the body names and leaves the others.",
	}, func(ctx context.Context, in *struct {
		Group triage.GroupName `path:"group" doc:"name of the group"`
		Body  control.HealthCheckEdit
	}) (control.EditResult, error) {
		return s.cfg.Control.SetHealthCheck(ctx, in.Group, in.Body)
	})
	operation(s, a, huma.Operation{
		Method: http.MethodPost, Path: pathTargets, OperationID: "add-target", Summary: "Add a target to a group",
	}, func(ctx context.Context, in *struct {
		Group triage.GroupName `path:"group" doc:"name of the group"`
		Body  newTarget
	}) (control.EditResult, error) {
		return s.cfg.Control.AddTarget(ctx, in.Group, triage.Target{ID: in.Body.Target, Weight: in.Body.Weight})
	})
	operation(s, a, huma.Operation{
		Method: http.MethodDelete, Path: pathTarget, OperationID: "remove-target", Summary: "Remove a target from a group",
		Description: "What runs on the target may finish within the group's deregistration_delay.",
	}, func(ctx context.Context, in *targetInput) (control.EditResult, error) {
		return s.cfg.Control.RemoveTarget(ctx, in.Group, in.Target)
	})
	for _, d := range []struct {
		path, id, summary string
		drain             bool
	}{
		{pathDrain, "drain-target", "Take a target out of rotation; what runs on it may finish", true},
		{pathUndrain, "undrain-target", "Let a drained target back into rotation", false},
	} {
		operation(s, a, huma.Operation{
			Method: http.MethodPost, Path: d.path, OperationID: d.id, Summary: d.summary,
		}, func(ctx context.Context, in *targetInput) (control.EditResult, error) {
			return s.cfg.Control.Drain(ctx, in.Group, in.Target, d.drain)
		})
	}
}

// targetInput is an edit of a target that is there.
type targetInput struct {
	Group  triage.GroupName `path:"group" doc:"name of the group"`
	Target triage.TargetID  `path:"target" doc:"the target as it is written in the config: host:port"`
	Body   *nothing
}

// newTarget is the body of an added target.
type newTarget struct {
	Target triage.TargetID `json:"target" doc:"host:port; the host is an IPv4 address, an IPv6 address in brackets, or a name" example:"10.0.0.5:8000"`
	Weight int             `json:"weight,omitempty" minimum:"1" maximum:"256" doc:"share of the group's requests; 1 if absent"`
}
