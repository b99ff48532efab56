package e2e

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// TestAgreementGRPC is TestAgreement for gRPC's health checks.
func TestAgreementGRPC(t *testing.T) {
	requireTools(t)
	t.Parallel()
	servers := startSickGRPC(t)
	grpc := over(triage.GRPC, triage.CheckTLS{})
	judges := judgeByBlackbox(t, servers, []string{module("grpc", "grpc", "")},
		blackboxWay{judge{name: "blackbox", dialect: triage.Blackbox, path: "/", settings: grpc}, "grpc", ""})
	judges = append(judges, judgeByEach(grpcClients(), func(g grpcClient) judge {
		j := judge{name: g.name, dialect: triage.Dialect(g.name), path: "/", settings: grpc}
		j.says = judgeEach(servers, func(s sickServer) judgement {
			serving, err := g.check(t.Context(), s.addr.String())
			if err != nil {
				return judgement{triage.Fail, status.Code(err).String() + " " + status.Convert(err).Message()}
			}
			return judgement{passOrFail(serving == health.HealthCheckResponse_SERVING), codes.OK.String() + " " + serving.String()}
		})
		return j
	})...)
	compareJudgements(t, judges, servers, nil)
}

// startSickGRPC starts servers that answer the question of gRPC's health service, or should.
func startSickGRPC(t *testing.T) []sickServer {
	t.Helper()
	var servers []sickServer
	add := func(name string, does func(*h2Talk, uint32), then badinput.Ending) {
		servers = append(servers, sickServer{name, serveFrames(t, nil, h2Illness{name, does, then})})
	}
	web, head := field(":status", "200"), wellGRPC().head
	trailers := func(fields ...hpack.HeaderField) h2Answer { return h2Answer{head: append(head[:2:2], fields...)} }
	message := func(body string) h2Answer {
		a := wellGRPC()
		a.body = body
		return a
	}
	answers := map[string]h2Answer{
		"SERVING":                                wellGRPC(),
		"NOT_SERVING":                            message("\x00\x00\x00\x00\x02\x08\x02"),
		"SERVICE_UNKNOWN":                        message("\x00\x00\x00\x00\x02\x08\x03"),
		"UNKNOWN":                                message("\x00\x00\x00\x00\x00"),
		"a status nobody has defined":            message("\x00\x00\x00\x00\x02\x08\x63"),
		"SERVING and a field nobody has defined": message("\x00\x00\x00\x00\x05\x08\x01\x12\x01x"),
		"NOT_SERVING, then SERVING in one message": message("\x00\x00\x00\x00\x04\x08\x02\x08\x01"),
		"5 NOT_FOUND":                         trailers(field("grpc-status", "5"), field("grpc-message", "unknown service")),
		"12 UNIMPLEMENTED":                    trailers(field("grpc-status", "12")),
		"14 UNAVAILABLE":                      trailers(field("grpc-status", "14")),
		"0 without a message":                 trailers(field("grpc-status", "0")),
		"a status that is no number":          trailers(field("grpc-status", "well")),
		"no status":                           {head: head, body: wellGRPC().body},
		"SERVING, and 13 INTERNAL":            {head: head, body: wellGRPC().body, trailers: []hpack.HeaderField{field("grpc-status", "13")}},
		"a message shorter than its length":   message("\x00\x00\x00\x00\x09\x08\x01"),
		"a message longer than its length":    message("\x00\x00\x00\x00\x01\x08\x01"),
		"a message of 2 GiB":                  message("\x00\x80\x00\x00\x00\x08\x01"),
		"two messages":                        message("\x00\x00\x00\x00\x02\x08\x01\x00\x00\x00\x00\x02\x08\x01"),
		"a message that is compressed":        message("\x01\x00\x00\x00\x02\x08\x01"),
		"a message that is none":              message("\x00\x00\x00\x00\x02\xff\xff"),
		"half the head of a message":          message("\x00\x00"),
		"a web page, 200":                     {head: []hpack.HeaderField{web, field("content-type", "text/html")}, body: "<html>"},
		"a web page, 404":                     {head: []hpack.HeaderField{field(":status", "404"), field("content-type", "text/html")}, body: "<html>"},
		"503 of a proxy":                      {head: []hpack.HeaderField{field(":status", "503")}, body: "no healthy upstream"},
		"no content-type":                     {head: []hpack.HeaderField{web}, body: wellGRPC().body, trailers: wellGRPC().trailers},
		"content-type application/grpc+proto": {head: []hpack.HeaderField{web, field("content-type", "application/grpc+proto")}, body: wellGRPC().body, trailers: wellGRPC().trailers},
	}
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		add(name, says(answers[name]), badinput.Hangs)
	}
	nothing := func(*h2Talk, uint32) {}
	add("nothing, and hangs", nothing, badinput.Hangs)
	add("nothing, and closes", nothing, badinput.Closes)
	add("SERVING, and hangs", func(talk *h2Talk, stream uint32) {
		talk.headers(stream, head, false)
		talk.framer.WriteData(stream, false, []byte(wellGRPC().body))
	}, badinput.Hangs)
	add("RST_STREAM: INTERNAL_ERROR", func(talk *h2Talk, stream uint32) { talk.framer.WriteRSTStream(stream, http2.ErrCodeInternal) }, badinput.Hangs)
	add("RST_STREAM: NO_ERROR behind the answer", func(talk *h2Talk, stream uint32) {
		talk.answer(stream, wellGRPC())
		talk.framer.WriteRSTStream(stream, http2.ErrCodeNo)
	}, badinput.Hangs)
	add("GOAWAY: ENHANCE_YOUR_CALM", func(talk *h2Talk, _ uint32) {
		talk.framer.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
	}, badinput.Closes)
	servers = append(servers, sickServer{"HTTP/1.1 alone", serveRequests(t, func(*http.Request) badinput.Answer { return answerOf(505, "") })})
	gone, release := badinput.Nobody(t)
	t.Cleanup(release)
	return append(servers, sickServer{"nobody", gone})
}
