package triage

import "strconv"

// GRPCFacts is what a gRPC health check was answered. It is read-only once it is in an [Exchange].
type GRPCFacts struct {
	Status  int    `json:"status"`            // the gRPC status code; -1 if none came
	Message string `json:"message,omitempty"` // grpc-message, percent-decoded
	Serving string `json:"serving,omitempty"` // grpc.health.v1: SERVING, NOT_SERVING, SERVICE_UNKNOWN, UNKNOWN, or its number; "" if there was no message
}

// grpcCodes are the names of gRPC's status codes (github.com/grpc/grpc, doc/statuscodes.md).
var grpcCodes = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
	"DATA_LOSS", "UNAUTHENTICATED",
}

// GRPCCodeText is a gRPC status code with its name: "12 UNIMPLEMENTED". Codes without a name are the number alone.
func GRPCCodeText(code int) string {
	if code >= 0 && code < len(grpcCodes) {
		return strconv.Itoa(code) + " " + grpcCodes[code]
	}
	return strconv.Itoa(code)
}
