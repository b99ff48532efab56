package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/triage-lb/triage"
)

// registerMetrics registers the path that Prometheus asks. What it gets is made elsewhere; here is only who may ask,
// and how a request that does not fit is answered.
func (s *Server) registerMetrics(a huma.API) {
	type input struct {
		Targets []triage.GroupName `query:"targets,explode" doc:"also tell every target of this group one by one; may be given more than once"`
		Names   []string           `query:"name[],explode" doc:"only the metrics of this name; may be given more than once"`
	}
	huma.Register(a, huma.Operation{
		Method: http.MethodGet, Path: pathMetrics, OperationID: "metrics", Summary: "What the balancer has counted, for Prometheus",
		Responses: map[string]*huma.Response{"200": textResponse("metrics in the format that Accept asks for"), "default": problemResponse(a)},
	}, func(ctx context.Context, in *input) (*huma.StreamResponse, error) {
		handler, err := s.cfg.Metrics(in.Targets, in.Names)
		if err != nil {
			return nil, s.problemOf(ctx, err)
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			handler.ServeHTTP(w, r)
		}}, nil
	})
}
