package simulate

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

func startFleet(t *testing.T, servers ...Config) *Fleet {
	t.Helper()
	f, err := ListenFleet(FleetConfig{Servers: servers, Control: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	run(t, f.Run)
	return f
}

// ask sends a request to the control address; header holds pairs.
func ask(t *testing.T, f *Fleet, method, path string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+f.Control().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestControlSwitches(t *testing.T) {
	f := startFleet(t, Config{Name: "app-1"}, Config{Name: "app-2"}, Config{})
	for i, path := range []string{"/app-1", "/" + f.Servers()[1].Address().String(), "/" + f.Servers()[2].Name()} {
		s := f.Servers()[i]
		for _, d := range Illnesses() {
			code, body := ask(t, f, "PUT", path+"/"+string(d.Illness))
			if code != 200 || !strings.Contains(body, string(d.Illness)) || s.Illness() != d.Illness {
				t.Errorf("PUT %s/%s: %d %q, the server is %s", path, d.Illness, code, body, s.Illness())
			}
		}
		if code, body := ask(t, f, "GET", path); code != 200 || !strings.Contains(body, "empty-reply") {
			t.Errorf("GET %s: %d %q", path, code, body)
		}
	}
}

func TestControlLists(t *testing.T) {
	f := startFleet(t, Config{Name: "app-1"}, Config{Illness: Hang})
	get(t, client(t), f.Server("app-1"), "/")

	code, text := ask(t, f, "GET", "/")
	for _, want := range []string{f.Servers()[0].Address().String(), "app-1", "healthy  requests: 1", "hang",
		"curl -X PUT localhost:", "plays: a server that is well"} {
		if code != 200 || !strings.Contains(text, want) {
			t.Errorf("%d, %q is not in\n%s", code, want, text)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 81 {
			t.Errorf("wider than 80 columns: %q", line)
		}
	}

	var list struct {
		Servers   []map[string]any
		Illnesses []map[string]string
	}
	_, body := ask(t, f, "GET", "/", "Accept", "application/json")
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if len(list.Servers) != 2 || len(list.Illnesses) != len(Illnesses()) ||
		list.Servers[0]["name"] != "app-1" || list.Servers[0]["requests"] != 1.0 ||
		list.Servers[1]["illness"] != "hang" || list.Servers[1]["address"] != f.Servers()[1].Address().String() ||
		list.Illnesses[0]["illness"] != "healthy" || list.Illnesses[0]["wire"] == "" || list.Illnesses[0]["plays"] == "" {
		t.Errorf("got %s", body)
	}
}

func TestControlRefusesMistakes(t *testing.T) {
	f := startFleet(t, Config{Name: "app-1", Illness: Refuse})
	thief, err := net.Listen("tcp", f.Server("app-1").Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	for _, test := range []struct {
		method, path string
		code         int
		want         string
	}{
		{"PUT", "/app-1/eror500", 400, "triage: unknown illness \"eror500\": did you mean error500?"},
		{"PUT", "/app-9/hang", 404, "no server \"app-9\": there are app-1"},
		{"GET", "/app-9", 404, "there are app-1"},
		{"PUT", "/app-1/healthy", 409, "choose another port"},
		{"GET", "/app-1/healthy", 405, ""},
		{"POST", "/app-1/healthy", 405, ""},
		{"PUT", "/app-1", 405, ""},
	} {
		code, body := ask(t, f, test.method, test.path)
		if code != test.code || !strings.Contains(body, test.want) {
			t.Errorf("%s %s: %d %q, want %d %q", test.method, test.path, code, body, test.code, test.want)
		}
	}
	_, body := ask(t, f, "PUT", "/app-9/hang", "Accept", "application/json")
	var failure struct{ Error string }
	if err := json.Unmarshal([]byte(body), &failure); err != nil || failure.Error == "" {
		t.Errorf("JSON error: %q, %v", body, err)
	}
	if got := f.Server("app-1").Illness(); got != Refuse {
		t.Errorf("illness after the mistakes: %s", got)
	}
}

// What a web page in the user's browser can try: a foreign origin, and a name
// of its own that it has rebound to 127.0.0.1.
func TestControlRefusesForeigners(t *testing.T) {
	f := startFleet(t, Config{Name: "app-1"})
	port := f.Control().String()[strings.LastIndexByte(f.Control().String(), ':'):]
	for name, test := range map[string]struct {
		method string
		header []string
		code   int
	}{
		"foreign origin":       {"PUT", []string{"Origin", "http://evil.example"}, 403},
		"other port's origin":  {"PUT", []string{"Origin", "http://127.0.0.1:1"}, 403},
		"cross-site":           {"PUT", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"rebound name":         {"PUT", []string{"Host", "evil.example" + port}, 403},
		"rebound name, origin": {"PUT", []string{"Host", "evil.example" + port, "Origin", "http://evil.example" + port}, 403},
		"rebound name reads":   {"GET", []string{"Host", "evil.example" + port}, 403},
		"another address":      {"GET", []string{"Host", "127.0.0.2" + port}, 403},
		"localhost":            {"PUT", []string{"Host", "localhost" + port}, 200},
		"forwarded port":       {"PUT", []string{"Host", "localhost:9999"}, 200},
		"own origin":           {"PUT", []string{"Origin", "http://127.0.0.1" + port}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			set(t, f.Server("app-1"), Healthy)
			path := "/app-1/error500"
			if test.method == "GET" {
				path = "/"
			}
			code, body := ask(t, f, test.method, path, test.header...)
			if code != test.code {
				t.Errorf("%d %q, want %d", code, body, test.code)
			}
			if switched := f.Server("app-1").Illness() == Error500; switched != (code == 200) {
				t.Errorf("status %d, switched %t", code, switched)
			}
		})
	}
}

func TestFleetIsAllOrNothing(t *testing.T) {
	first, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	free := first.Address()
	first.Close()
	good := Config{Name: "a", Address: free}
	for name, test := range map[string]struct {
		cfg  FleetConfig
		want string
	}{
		"none":            {FleetConfig{}, "at least one"},
		"second is taken": {FleetConfig{Servers: []Config{good, {Address: free}}}, "listen " + free.String()},
		"same name":       {FleetConfig{Servers: []Config{good, {Name: "a"}}}, `name "a": both`},
		"open control": {FleetConfig{Servers: []Config{good}, Control: netip.MustParseAddrPort("0.0.0.0:0")},
			"must be on loopback"},
		"control taken": {FleetConfig{Servers: []Config{good}, Control: free}, "control address: listen"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := ListenFleet(test.cfg)
			if err == nil {
				f.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want %q in it", err, test.want)
			}
			if _, err := net.Dial("tcp", free.String()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s was left open: %v", free, err)
			}
		})
	}
}

func TestFleetClosedWithoutRun(t *testing.T) {
	for _, control := range []netip.AddrPort{{}, netip.MustParseAddrPort("127.0.0.1:0")} {
		f, err := ListenFleet(FleetConfig{Servers: []Config{{}}, Control: control})
		if err != nil {
			t.Fatal(err)
		}
		if f.Control().IsValid() != control.IsValid() {
			t.Errorf("control address %s, asked for %s", f.Control(), control)
		}
		f.Close()
		for _, addr := range []netip.AddrPort{f.Servers()[0].Address(), f.Control()} {
			if !addr.IsValid() {
				continue
			}
			if _, err := net.Dial("tcp", addr.String()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s after Close: %v", addr, err)
			}
		}
	}
}

// The addresses of the demo. Elsewhere than on Linux they have to be added to
// the loopback interface first.
func TestDemoAddresses(t *testing.T) {
	for _, addr := range []string{"127.0.1.11:0", "127.0.1.12:0", "127.0.1.13:0"} {
		s, err := Listen(Config{Address: netip.MustParseAddrPort(addr)})
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		run(t, s.Run)
		if status, body := get(t, client(t), s, "/"); status != 200 || body != "hello from "+s.Address().String()+"\n" {
			t.Errorf("%s: %d %q", addr, status, body)
		}
	}
}
