package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// plain is an answer for load balancers, kubelets and shell scripts: a status and one line of text.
type plain struct {
	Status      int
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func say(status int, line string) *plain {
	return &plain{Status: status, ContentType: "text/plain; charset=utf-8", Body: []byte(line + "\n")}
}

// registerProbes registers the two questions about triage itself. Live: the process answers; a supervisor that
// hears nothing should restart it. Ready: new clients may be sent here; it is no while starting and draining.
func (s *Server) registerProbes(a huma.API) {
	huma.Register(a, huma.Operation{
		Method: http.MethodGet, Path: pathLive, OperationID: "live", Summary: "Whether triage itself is alive",
		Responses: map[string]*huma.Response{"200": textResponse("alive"), "default": problemResponse(a)},
	}, func(context.Context, *struct{}) (*plain, error) {
		return say(http.StatusOK, "ok"), nil
	})
	huma.Register(a, huma.Operation{
		Method: http.MethodGet, Path: pathReady, OperationID: "ready", Summary: "Whether new clients may be sent here",
		Responses: map[string]*huma.Response{
			"200": textResponse("ready"), "503": textResponse("starting or draining; the body says which"), "default": problemResponse(a),
		},
	}, func(context.Context, *struct{}) (*plain, error) {
		if err := s.cfg.Ready(); err != nil {
			return say(http.StatusServiceUnavailable, err.Error()), nil
		}
		return say(http.StatusOK, "ok"), nil
	})
}

func textResponse(description string) *huma.Response {
	return &huma.Response{
		Description: description,
		Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
}

// registerOpenAPI serves the description of all operations that are registered before it. huma's own handler
// is not used: it renders the text at the first request, and two at once race.
func registerOpenAPI(r *routes, a huma.API) {
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} {
		delete(a.OpenAPI().Components.Schemas.Map(), unused) // huma's shape of an error; ours is Problem
	}
	text, err := json.MarshalIndent(a.OpenAPI(), "", "  ")
	if err != nil {
		panic("openapi: " + err.Error()) // all of it is written in this package: a test would have shown it
	}
	r.HandleFunc("GET "+pathOpenAPI, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(text) // the client has gone: nobody to tell
	})
}
