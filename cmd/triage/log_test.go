package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// logBuffer is where a balancer that runs writes its log.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestLogLetsNoEscapeThrough: a target's reason phrase is in the log, and the log may be read on a terminal.
func TestLogLetsNoEscapeThrough(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 418 \u009b31mowned \x9b\xc3\xa9\u202e\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, c) // until the checker closes
			c.Close()
		}
	})
	defer func() { l.Close(); serving.Wait() }()
	for _, format := range []string{"text", "json"} {
		var log logBuffer
		logger := logFlags{LogFormat: format, LogLevel: "info"}.logger(&environment{stderr: &log})
		stop := startBalancer(t, l.Addr().String(), logger)
		told := func() bool { return strings.Contains(log.String(), "31mowned") }
		eventuallyTrue(t, "the target's words are in the log", told)
		stop()
		for line := range strings.Lines(log.String()) {
			line = strings.TrimSuffix(line, "\n")
			if i := strings.IndexFunc(line, func(c rune) bool { return c < ' ' || c >= 0x7f }); i >= 0 {
				t.Errorf("%s: byte %#x in %q", format, line[i], line)
			}
			if format == "json" && !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %s", line)
			}
		}
	}
}
