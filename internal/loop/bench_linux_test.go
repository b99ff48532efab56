package loop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// An exchange of the benchmarks: as many bytes as a small HTTP check has.
var (
	request = make([]byte, 150)
	answer  = make([]byte, 100)
)

const serverEnv = "LOOP_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		serve()
		return
	}
	goleak.VerifyTestMain(m)
}

// serve answers exchanges until its standard input ends. It is a process of its own so that the benchmarks can tell
// their CPU time from its.
func serve() {
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		panic(err)
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		c, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer c.Close()
			b := make([]byte, len(request))
			for {
				if _, err := io.ReadFull(c, b); err != nil {
					return
				}
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

func startServer(b *testing.B) uint16 {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	var port uint16
	if _, err := fmt.Fscan(bufio.NewReader(stdout), &port); err != nil {
		b.Fatal(err)
	}
	return port
}

// target spreads exchanges over 127.0.0.0/16, as checks of many targets are.
func target(n int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(n>>8) & 0x7f, byte(n) | 1}), port)
}

// cpu is the CPU time of this process, user and system.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func measure(b *testing.B, run func()) {
	before := cpu(b)
	b.ResetTimer()
	run()
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N)/1e3, "cpu-µs/op")
}

// exchanges is a client on a loop that keeps some exchanges going.
type exchanges struct {
	b              *testing.B
	loop           *Loop
	port           uint16
	options        Options
	atOnce         bool // try the write right after connect
	fin            bool
	buf            [4096]byte
	sent           []bool
	started, ended int
}

func (x *exchanges) start() {
	c, err := x.loop.Connect(target(x.started, x.port), x.options)
	if err != nil {
		x.b.Fatal(err)
	}
	x.started++
	for c.Index() >= len(x.sent) {
		x.sent = append(x.sent, false)
	}
	x.sent[c.Index()] = false
	if x.atOnce {
		x.write(c)
	}
}

func (x *exchanges) write(c Conn) {
	_, err := x.loop.Write(c, request)
	if err == ErrWouldBlock {
		return
	}
	if err != nil {
		x.b.Fatal(err)
	}
	x.sent[c.Index()] = true
}

func (x *exchanges) handle(e Event) {
	if e.Failed {
		x.b.Fatal(x.loop.Err(e.Conn))
	}
	if !x.sent[e.Conn.Index()] {
		x.write(e.Conn)
		return
	}
	if !e.Readable {
		return
	}
	if n, err := x.loop.Read(e.Conn, x.buf[:]); err != nil || n != len(answer) {
		x.b.Fatal(n, err)
	}
	x.loop.Free(e.Conn, !x.fin)
	x.ended++
}

func BenchmarkExchange(b *testing.B) {
	for _, load := range []struct {
		name     string
		inFlight int
		pace     time.Duration
	}{{"busy", 64, 0}, {"paced5000", 1000, 200 * time.Microsecond}} {
		for _, v := range []struct {
			name string
			x    exchanges
		}{
			{"wait", exchanges{}},
			{"atOnce", exchanges{atOnce: true}},
			{"delayAck", exchanges{options: Options{DelayAck: true}}},
			{"delayAck+atOnce", exchanges{options: Options{DelayAck: true}, atOnce: true}},
			{"fin", exchanges{fin: true}},
		} {
			b.Run(load.name+"/loop/"+v.name, func(b *testing.B) {
				x := v.x
				x.b, x.port = b, startServer(b)
				var err error
				if x.loop, err = New(); err != nil {
					b.Fatal(err)
				}
				defer x.loop.Close()
				handle := x.handle
				measure(b, func() {
					begin := time.Now()
					for x.ended < b.N {
						due := b.N
						timeout := time.Duration(-1)
						if load.pace > 0 {
							due = min(b.N, int(time.Since(begin)/load.pace)+1)
							timeout = time.Millisecond
						}
						for x.started < due && x.started-x.ended < load.inFlight {
							x.start()
						}
						if err := x.loop.Poll(timeout, handle); err != nil {
							b.Fatal(err)
						}
					}
				})
			})
		}
		b.Run(load.name+"/net", func(b *testing.B) {
			port := startServer(b)
			slots := make(chan bool, load.inFlight)
			measure(b, func() {
				begin := time.Now()
				for n := 0; n < b.N; {
					due := b.N
					if load.pace > 0 {
						time.Sleep(time.Millisecond)
						due = min(b.N, int(time.Since(begin)/load.pace)+1)
					}
					for ; n < due; n++ {
						slots <- true
						go func() {
							dialExchange(b, target(n, port))
							<-slots
						}()
					}
				}
				for range load.inFlight {
					slots <- true
				}
			})
		})
	}
}

func dialExchange(b *testing.B, to netip.AddrPort) {
	var d net.Dialer
	d.KeepAlive = -1
	conn, err := d.DialTCP(b.Context(), "tcp4", netip.AddrPort{}, to)
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	if _, err := conn.Write(request); err != nil {
		b.Error(err)
		return
	}
	buf := make([]byte, 4096)
	if n, err := conn.Read(buf); err != nil || n != len(answer) {
		b.Error(n, err)
	}
	conn.SetLinger(0)
}
