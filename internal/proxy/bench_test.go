package proxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/balance"
	"github.com/triage-lb/triage/internal/proxy"
)

// BenchmarkRequest is one request over connections that are kept on both sides. Client and target are as
// little as can be, and in this process: their cost is in the figure, but no net/http of theirs.
func BenchmarkRequest(b *testing.B) {
	addr := rawTarget(b, func(_ int, c net.Conn) {
		br := bufio.NewReader(c)
		for {
			if err := skipHead(br); err != nil {
				return
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
				return
			}
		}
	})
	table := balance.New()
	table.Publish([]triage.Roster{roster(nil, addr)})
	p := proxy.New(proxy.Config{Table: table})
	commit, _, err := p.Prepare([]triage.Listener{listener("web", "127.0.0.1:0", "app")})
	if err != nil {
		b.Fatal(err)
	}
	commit()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()

	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(p.Addr("web").String())))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	br := bufio.NewReader(c)
	request := []byte("GET /index.html HTTP/1.1\r\nHost: my.site\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	content := make([]byte, 5)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if err := skipHead(br); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(br, content); err != nil {
			b.Fatal(err)
		}
	}
}

func skipHead(br *bufio.Reader) error {
	for {
		line, err := br.ReadSlice('\n')
		if err != nil || len(line) == 2 {
			return err
		}
	}
}
