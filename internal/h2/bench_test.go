package h2_test

import (
	"testing"

	"github.com/triage-lb/triage/internal/h2"
	"github.com/triage-lb/triage/internal/http1"
)

// BenchmarkCall is one check that is answered, with the memory of the one before.
func BenchmarkCall(b *testing.B) {
	request := []http1.Field{
		{Name: []byte(":method"), Value: []byte("GET")}, {Name: []byte(":scheme"), Value: []byte("http")},
		{Name: []byte(":path"), Value: []byte("/health")}, {Name: []byte(":authority"), Value: []byte("10.0.0.5:8080")},
		{Name: []byte("user-agent"), Value: []byte("ELB-HealthChecker/2.0")},
	}
	answer := []byte(settings() + frame(4, ack, 0, "") + head(":status", "200", "content-type", "text/plain", "content-length", "2",
		"date", "Mon, 23 Nov 2026 00:00:00 GMT") + dataEnd("ok"))
	var c h2.Call
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = c.Begin(dst[:0], request, nil)
		c.Feed(answer)
		for kind := h2.More; kind != h2.End; {
			e, err := c.Next()
			if err != nil {
				b.Fatal(err)
			}
			kind = e.Kind
			if len(c.Out()) > 100 {
				b.Fatal("too much to write")
			}
		}
	}
}
